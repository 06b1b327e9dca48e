import { createHash, randomBytes } from 'node:crypto';
import { MOST_WORKFLOW_EDGES, MOST_WORKFLOW_JOBS } from '@baton/runner-sdk/protocol';
import type { Context } from '../../context';
import { BatonError } from '../../errors';
import type { Executor } from '../../store/db';
import * as jobs from '../../store/jobs';
import { insertEdges } from '../../store/workflows/edges';
import * as store from '../../store/workflows/insert';
import { Turns } from '../../turns';
import { type Caller, visibleUser } from '../auth/caller';
import { announce, route, storeKeyed } from '../jobs/create';
import type { JobCandidate, Outcome } from '../jobs/candidates/job-candidate';
import { canonicalText, keyConflict } from '../jobs/candidates/request-hash';
import { NOTHING_RESERVED } from '../jobs/candidates/reservation';
import { releaseQuota, reserveQuota, withQuota } from '../jobs/candidates/waiting-quota';
import { settleParents } from '../jobs/settle';
import { sorted } from './graph';
import { atKey, type NewNode, newNodes, relate, requireCovered, scopeOf, type WantedNode } from './nodes';
import { workflowScope } from './scope';

export interface WantedWorkflow {
  caller: Caller;
  name: string;
  userId: string | undefined;
  nodes: ReadonlyMap<string, WantedNode>;
  idempotencyKey: string | undefined;
  trace: string | undefined;
}

/**
 * (none) -> a workflow of these jobs, all or none; jobs without parents are pending, the others blocked.
 * @returns its id, and whether a call with the same key had created it before
 * @throws {BatonError} `validation_failed`, `dependency_cycle`, and the error of the first refused job, with its path
 */
export async function createWorkflow(
  context: Context,
  wanted: WantedWorkflow,
): Promise<{ id: string; isRepeated: boolean }> {
  const { caller, name, nodes: asked, trace } = wanted;
  const own = visibleUser(caller);
  if (own !== null && wanted.userId !== undefined && wanted.userId !== own)
    throw new BatonError('forbidden', `This key creates workflows for the user ${own} only; leave userId out.`);
  const userId = own ?? wanted.userId ?? null;
  requireSize(asked, 0);
  // Before the key is looked up, so that a repeated call shows no more than the first.
  requireCovered(caller, asked);
  const idempotency = await idempotencyOf(wanted, own);
  const before = idempotency === null ? null : await findRepeated(context, idempotency);
  if (before !== null) return before;
  const id = context.jobIds.next();
  const nodes = await newNodes(context, asked, { workflowId: id, userId, caller, trace });
  const order = sorted(nodes);
  const edges = relate(order, new Map(), id);
  const linkSecret = randomBytes(32).toString('base64url');
  const outcomes = await storeNodes(context, order, async (transaction) => {
    const workflow = { id, name, userId, linkSecret, ...scopeOf(order), idempotency };
    if (!(await store.insertWorkflow(transaction, workflow))) return null;
    return { order, edges };
  });
  // Another call with the same key was faster.
  if (outcomes === null) return (await findRepeated(context, idempotency)) ?? notThere();
  return { id, isRepeated: false };
}

/**
 * Adds jobs to a running workflow. Existing keys are left unchanged, so that the call may be repeated.
 * @param leaseToken of a running job of the workflow, which authorises a runner
 * @throws {BatonError} `not_found`, `state_conflict`, `lease_lost`, and as `createWorkflow`
 */
export async function addJobs(
  context: Context,
  wanted: Omit<WantedWorkflow, 'name' | 'userId' | 'idempotencyKey'> & { id: string; leaseToken: string | undefined },
): Promise<void> {
  const { id, caller, nodes: asked, leaseToken, trace } = wanted;
  requireSize(asked, 0);
  requireCovered(caller, asked);
  const seen = await requireWorkflow(context.db, caller, id, leaseToken);
  const nodes = await newNodes(context, asked, { workflowId: id, userId: seen.userId, caller, trace });
  let late: string[] = [];
  await storeNodes(context, [...nodes.values()], async (transaction) => {
    const workflow = await requireWorkflow(transaction, caller, id, leaseToken);
    if (workflow.status !== 'running')
      throw new BatonError('state_conflict', `The workflow is ${workflow.status}; jobs are added while it runs.`);
    const members = new Map((await store.members(transaction, id)).map((member) => [member.key, member]));
    const fresh = new Map([...nodes].filter(([key]) => !members.has(key)));
    requireSize(fresh, members.size);
    const order = sorted(fresh, new Set(members.keys()));
    if (order.length > 0) await store.extendScope(transaction, id, scopeOf(order));
    const parents = [
      ...new Set(order.flatMap(({ dependsOn }) => dependsOn.flatMap((key) => members.get(key)?.id ?? []))),
    ];
    if (parents.length > 0) await jobs.lockParents(transaction, parents);
    // Some jobs may have ended before they were locked.
    const known = new Map((await store.members(transaction, id)).map((member) => [member.key, member]));
    const edges = relate(order, known, id);
    late = edges.flatMap(({ outcome, parentId }) => (outcome === null && parents.includes(parentId) ? [parentId] : []));
    return { order, edges };
  });
  // Settles parents that had already ended in a way that their children do not accept.
  await settleParents(context, late);
}

/** A workflow that the caller may not see counts as missing. A runner's key sees the workflow of a job that it runs. */
async function requireWorkflow(
  db: Executor,
  caller: Caller,
  id: string,
  leaseToken: string | undefined,
): Promise<store.LockedWorkflow> {
  const workflow = await store.lockWorkflow(db, workflowScope(caller), id);
  if (workflow === null) throw notFound(id);
  if (leaseToken === undefined) {
    if (caller.role === 'runner')
      throw new BatonError(
        'forbidden',
        'A runner adds jobs under the lease of a job of the workflow; send Baton-Lease.',
      );
    return workflow;
  }
  if (!(await store.hasLease(db, id, leaseToken, caller)))
    throw caller.role === 'runner'
      ? notFound(id)
      : new BatonError('lease_lost', 'No job of the workflow runs under this lease token.');
  return workflow;
}

export function notFound(id: string): BatonError {
  return new BatonError('not_found', `There is no workflow with id ${id}.`);
}

/**
 * Stores nodes in one transaction, after running `prepare` in it.
 * @param prepare returns the nodes to store, in order, and their edges; null: nothing is stored
 */
async function storeNodes(
  context: Context,
  nodes: readonly NewNode[],
  prepare: (
    transaction: Executor,
  ) => Promise<{ order: readonly NewNode[]; edges: Parameters<typeof insertEdges>[1] } | null>,
): Promise<Map<JobCandidate, Outcome> | null> {
  const keyOf = new Map(nodes.map(({ key, candidate }) => [candidate, key]));
  const candidates = nodes.flatMap(({ isGate, candidate }) => (isGate ? [] : [candidate]));
  for (const [candidate, error] of await route(context, candidates)) throw atKey(keyOf.get(candidate) ?? '', error);
  const quota = await reserveQuota(
    context,
    candidates.filter(({ row }) => row.relations?.isBlocked !== true),
  );
  for (const [candidate, error] of quota.refused) {
    releaseQuota(context, quota);
    throw atKey(keyOf.get(candidate) ?? '', error);
  }
  let isStored = true;
  const outcomes = await withQuota(context, quota, () =>
    context.db.keyed.transaction(async (transaction) => {
      const prepared = await prepare(transaction);
      isStored = prepared !== null;
      if (prepared === null) return new Map<JobCandidate, Outcome>();
      const stored = new Map<JobCandidate, Outcome>();
      for (const slice of slicesOf(prepared.order, JOBS_AT_ONCE)) {
        const own = slice.map(({ candidate }) => candidate);
        const kept = await storeKeyed(context, transaction, own, () => NOTHING_RESERVED);
        for (const [candidate, outcome] of kept) stored.set(candidate, outcome);
      }
      for (const [candidate, outcome] of stored) requireCreated(keyOf.get(candidate) ?? '', outcome);
      for (const slice of slicesOf(prepared.edges, EDGES_AT_ONCE)) await insertEdges(transaction, slice);
      const gates = prepared.order.flatMap(({ isGate, candidate }) => (isGate ? [candidate.row.id] : []));
      if (gates.length > 0) await jobs.startGates(transaction, gates);
      return stored;
    }),
  );
  await announce(context, outcomes);
  return isStored ? outcomes : null;
}

/** A workflow consists only of its own jobs, so a deduplicated one is refused. */
function requireCreated(key: string, outcome: Outcome): void {
  if (outcome instanceof BatonError) throw atKey(key, outcome);
  if (outcome.inserted !== null) return;
  const { id } = outcome.created.job;
  throw atKey(
    key,
    new BatonError(
      'state_conflict',
      `Its unique key is held by the job ${id}; cancel that one, or let it finish first.`,
      {
        errors: [{ path: 'uniqueKey', message: `is held by the job ${id}` }],
      },
    ),
  );
}

const JOBS_AT_ONCE = 1000;
const EDGES_AT_ONCE = 10_000;

function* slicesOf<One>(list: readonly One[], size: number): Generator<One[]> {
  for (let from = 0; from < list.length; from += size) yield list.slice(from, from + size);
}

function requireSize(nodes: ReadonlyMap<string, { dependsOn?: readonly string[] | undefined }>, before: number): void {
  if (nodes.size + before > MOST_WORKFLOW_JOBS)
    throw tooMany(
      `A workflow has at most ${MOST_WORKFLOW_JOBS} jobs and gates; this one would have ${nodes.size + before}.`,
    );
  const edges = [...nodes.values()].reduce((sum, { dependsOn = [] }) => sum + dependsOn.length, 0);
  if (edges > MOST_WORKFLOW_EDGES)
    throw tooMany(`A call may bring at most ${MOST_WORKFLOW_EDGES} dependencies; this one brings ${edges}.`);
}

function tooMany(message: string): BatonError {
  return new BatonError('validation_failed', message, { errors: [{ path: 'jobs', message }] });
}

type Idempotency = NonNullable<store.InsertWorkflow['idempotency']>;

async function idempotencyOf(wanted: WantedWorkflow, own: string | null): Promise<Idempotency | null> {
  const { idempotencyKey: key, name, userId, nodes } = wanted;
  if (key === undefined) return null;
  const turns = new Turns();
  const hash = createHash('sha256').update(canonicalText([name, own ?? userId ?? null]));
  for (const [node, asked] of [...nodes].sort(([one], [other]) => (one < other ? -1 : 1))) {
    hash.update(`\n${node} ${canonicalText(asked)}`);
    await turns.next();
  }
  return { scope: own ?? '', key, requestHash: hash.digest('base64url') };
}

async function findRepeated(
  context: Context,
  idempotency: Idempotency | null,
): Promise<{ id: string; isRepeated: boolean } | null> {
  const first = idempotency === null ? null : await store.findIdempotent(context.db, idempotency);
  if (first === null || idempotency === null) return null;
  if (first.requestHash !== idempotency.requestHash) throw keyConflict(idempotency.key);
  return { id: first.id, isRepeated: true };
}

function notThere(): never {
  throw new BatonError('unavailable', 'The first call with this idempotency key is being undone; repeat this one.', {
    retryAfterMs: 1000,
  });
}
