import type { FieldError, Gate, WorkflowJob } from '@baton/runner-sdk/protocol';
import type { Context } from '../../context';
import { BatonError } from '../../errors';
import * as store from '../../store/jobs';
import type { Edge } from '../../store/workflows/edges';
import { mapInTurns } from '../../turns';
import type { Caller } from '../auth/caller';
import { isScoped, scopeFault } from '../auth/scope';
import { check } from '../jobs/create';
import type { JobCandidate } from '../jobs/candidates/job-candidate';
import { isFinished } from '../jobs/transitions';

/** The requested job or gate of one key. */
export type WantedNode = WorkflowJob | Gate;

/** A job or gate that is about to be stored. */
export interface NewNode {
  key: string;
  dependsOn: readonly string[];
  toleratesFailure: boolean;
  isGate: boolean;
  candidate: JobCandidate;
}

/** The owner of the workflow, and the fields that its jobs share. */
export interface Membership {
  workflowId: string;
  userId: string | null;
  caller: Caller;
  trace: string | undefined;
}

/** @throws {BatonError} the error of the first refused node, with its path */
export async function newNodes(
  context: Context,
  wanted: ReadonlyMap<string, WantedNode>,
  membership: Membership,
): Promise<Map<string, NewNode>> {
  const nodes = await mapInTurns([...wanted], ([key, node]): [string, NewNode] => {
    const { dependsOn = [], onDependencyFailure } = node;
    const isGate = 'gate' in node;
    const candidate = isGate ? gateCandidate(context, node, membership) : jobCandidate(context, key, node, membership);
    return [key, { key, dependsOn, toleratesFailure: onDependencyFailure === 'run', isGate, candidate }];
  });
  return new Map(nodes);
}

/**
 * A limited key only makes jobs within its limits; gates are in no queue and of no type.
 * @throws {BatonError} `forbidden` of the first job that is not
 */
export function requireCovered(caller: Caller, wanted: ReadonlyMap<string, WantedNode>): void {
  if (!isScoped(caller)) return;
  for (const [key, node] of wanted) {
    const refused = 'gate' in node ? null : scopeFault(caller, node);
    if (refused !== null) throw atKey(key, refused);
  }
}

/** The queues and types of these jobs, without gates. */
export function scopeOf(nodes: readonly NewNode[]): { queues: string[]; types: string[] } {
  const rows = nodes.flatMap(({ isGate, candidate }) => (isGate ? [] : [candidate.row]));
  return { queues: [...new Set(rows.map(({ queue }) => queue))], types: [...new Set(rows.map(({ type }) => type))] };
}

/**
 * Sets in the rows what they depend on, and returns the edges.
 * @param order parents before their children
 * @param known existing jobs of the workflow
 */
export function relate(
  order: readonly NewNode[],
  known: ReadonlyMap<string, Pick<store.JobRow, 'id' | 'status'>>,
  workflowId: string,
): Edge[] {
  const own = new Map(order.map(({ key, candidate }) => [key, candidate.row.id]));
  const awaited = new Set(order.flatMap(({ dependsOn }) => dependsOn));
  return order.flatMap(({ key, dependsOn, toleratesFailure, isGate, candidate }) => {
    const edges = [...new Set(dependsOn)].flatMap((parent): Edge[] => {
      const there = known.get(parent);
      const parentId = own.get(parent) ?? there?.id;
      if (parentId === undefined) return [];
      const outcome = there === undefined ? null : outcomeOf(there.status, toleratesFailure);
      return [{ jobId: candidate.row.id, parentId, outcome, toleratesFailure }];
    });
    candidate.row.relations = {
      dependsOn: edges.length === 0 ? undefined : edges.map(({ parentId }) => parentId),
      awaited: awaited.has(key),
      workflowId,
      workflowKey: key,
      isBlocked: isGate || edges.some(({ outcome }) => outcome === null),
    };
    return edges;
  });
}

/** The same error, for one of the jobs of a call that is all or none. */
export function atKey(key: string, error: BatonError): BatonError {
  const errors = (error.errors ?? [{ path: '', message: error.message }]).map(
    ({ path, message, pointer }: FieldError) => ({
      path: ['jobs', key, path].filter((part) => part !== '').join('.'),
      message,
      ...(pointer === undefined ? {} : { pointer: `/jobs/${key}${pointer}` }),
    }),
  );
  return new BatonError(error.code, `Nothing was created, because of jobs.${key}: ${error.message}`, {
    errors,
    ...(error.retryAfterMs === undefined ? {} : { retryAfterMs: error.retryAfterMs }),
  });
}

function outcomeOf(status: store.JobRow['status'], toleratesFailure: boolean): Edge['outcome'] {
  const isOver = status === 'completed' || (toleratesFailure && isFinished(status));
  return isOver ? (status as Edge['outcome']) : null;
}

function jobCandidate(
  context: Context,
  key: string,
  { dependsOn: _dependsOn, onDependencyFailure: _onDependencyFailure, ...job }: WorkflowJob,
  { caller, userId, trace }: Membership,
): JobCandidate {
  const candidate = check(context, { caller, job: userId === null ? job : { ...job, userId }, trace });
  if (candidate instanceof BatonError) throw atKey(key, candidate);
  return candidate;
}

/** A gate is a row like others. Nobody runs it, so the fields that only a run needs get arbitrary values. */
function gateCandidate(
  context: Context,
  { gate: { expiresInMs } }: Gate,
  { caller, userId }: Membership,
): JobCandidate {
  const job = { ...store.GATE, onConflict: 'keep', orderOnFailure: 'skip', tags: [] } as const;
  const row = store.insertJob(
    { ...job, tags: [] },
    {
      id: context.jobIds.next(),
      priority: 0,
      laneId: 0,
      laneFrom: undefined,
      arguments: expiresInMs === undefined ? {} : { expiresInMs },
      timeoutMs: 1,
      maxAttempts: 1,
      retry: undefined,
      userId: userId ?? undefined,
      orderBlocks: false,
      callback: undefined,
      trace: undefined,
      scheduleId: undefined,
      relations: undefined,
      idempotencyScope: undefined,
      idempotencyKey: undefined,
      requestHash: undefined,
    },
  );
  return { job: { ...job, tags: [] }, row, bytes: 0, onConflict: 'keep', caller };
}
