import type { Context } from '../../context';
import { findUnsettled, settleEdges } from '../../store/workflows/edges';
import type { JobRow, Moved, Removed } from '../../store/jobs';
import * as store from '../../store/jobs';
import { findUnended } from '../../store/workflows/end';
import { jobEvent } from '../events/events';
import { presentLanes } from './lanes';
import { enqueue, readyLanesOf, releaseConcurrency } from './promotion';
import { isFinished } from './transitions';

// Follow-up work of a transition for other jobs, the same for every verb: jobs held by its order, key or limit may
// continue, its children are freed or cancelled, and its workflow ends. All of it is read from the rows after the
// commit and done by guarded statements, so a crash in between only delays it: the loop `settle` finds it again. What
// the rows would not show later is part of the transition's own statement: a job is not deleted while something
// unfinished needs it.

/** The fields of a moved job that decide what follows. */
export type Settled = Pick<
  JobRow,
  'id' | 'status' | 'queue' | 'concurrencyKey' | 'orderKey' | 'awaited' | 'workflowId' | 'batchId'
> & {
  /** For a pending job: in how many milliseconds it is due. Default: now. */
  dueInMs?: number;
};

/**
 * Most edges settled in one round, per parent and in all, so that a report waits for a few children and not for all.
 */
const SHARE = { ofEach: 100, inAll: 1000 };
const PAGE = 1000;

/**
 * Call it after the commit that moved these jobs. Resolves after the first round for the jobs that wait for them. Never
 * rejects.
 */
export async function settle(context: Context, moved: Settled[]): Promise<void> {
  const followed = follow(context, moved);
  await releaseConcurrency(context, moved);
  await enqueueWaiting(context, moved);
  await followed;
}

/** Call it after the commit that blocked jobs on these parents: some may have ended before or at the same moment. */
export function settleParents(context: Context, parentIds: string[]): Promise<void> {
  return context.followUps.dependants.add(parentIds);
}

/** Call it after the commit that removed these jobs. A failed one may have held back the later jobs of its order. */
export function settleRemoved(context: Context, gone: Removed[]): Promise<void> {
  return releaseConcurrency(context, gone);
}

/**
 * Settles the edges of parents that have ended or were removed: frees or cancels their children.
 * @param parentIds of jobs, or of workflows that jobs wait for
 * @returns the parents that have more children
 */
export async function freeDependants(context: Context, parentIds: string[]): Promise<string[]> {
  const { edges, moved } = await context.db.transaction(async (transaction) => {
    const settled = await settleEdges(transaction, parentIds, SHARE);
    const children = [...new Set(settled.map(({ jobId }) => jobId))];
    const blocked = children.length === 0 ? [] : await store.lockBlocked(transaction, children);
    const freed =
      blocked.length === 0 ? [] : await store.unblock(transaction, blocked.map(idOf), lanesFor(context, blocked));
    const gates = blocked.filter(({ isGate }) => isGate).map(idOf);
    if (gates.length > 0) await store.startGates(transaction, gates);
    return { edges: settled, moved: freed };
  });
  context.events.tell(moved.map((job) => jobEvent(job.status === 'pending' ? 'job.unblocked' : 'job.cancelled', job)));
  // The children of these are left to the next round.
  void follow(context, moved);
  await releaseConcurrency(
    context,
    moved.filter(({ status }) => isFinished(status)),
  );
  const ready = moved.flatMap(({ laneId, position }) => (position === null ? [] : [{ laneId, position }]));
  context.notifications.publishReady(readyLanesOf(ready));
  await enqueueWaiting(
    context,
    moved.filter(({ position }) => position === null),
  );
  return unexhausted(parentIds, edges);
}

/** The lanes by which jobs that take turns get their positions; null: none of these jobs does. */
function lanesFor(context: Context, blocked: store.BlockedJob[]): store.LaneFrom[] | null {
  const inTurns = blocked.filter(({ takesTurns }) => takesTurns);
  return inTurns.length === 0 ? null : presentLanes(context, new Set(inTurns.map(({ queue }) => queue)));
}

/**
 * Finds one page of work that a crash may have left undone: ended parents with unsettled edges, and running workflows
 * whose jobs have all finished.
 * @param after where the previous page ended
 * @returns where this one ended
 */
export async function settleMissed(context: Context, after: SettleCursor): Promise<SettleCursor> {
  const parents = await findUnsettled(context.db, after.parentId, PAGE);
  const workflows = await findUnended(context.db, after.workflowId, PAGE);
  await context.followUps.dependants.add(parents.flatMap(({ parentId, isOver }) => (isOver ? [parentId] : [])));
  await context.followUps.workflows.add(workflows.flatMap(({ id, isOver }) => (isOver ? [id] : [])));
  return {
    parentId: parents.length < PAGE ? null : (parents.at(-1)?.parentId ?? null),
    workflowId: workflows.length < PAGE ? null : (workflows.at(-1)?.id ?? null),
  };
}

/** Position of the loop; null: it starts over. */
export interface SettleCursor {
  parentId: string | null;
  workflowId: string | null;
}

/** Jobs that nothing waits for cost no statement. */
async function follow(context: Context, moved: (Settled | Moved)[]): Promise<void> {
  const ended = moved.filter(({ status }) => isFinished(status));
  if (ended.length === 0) return;
  context.notifications.publishFinished(ended.map(idOf));
  // A report need not wait for the end of the workflow or batch.
  void context.followUps.workflows.add(ended.flatMap(({ workflowId }) => workflowId ?? []));
  void context.followUps.batches.add(ended.flatMap(({ batchId }) => batchId ?? []));
  await context.followUps.dependants.add(ended.flatMap(({ id, awaited }) => (awaited ? [id] : [])));
}

function enqueueWaiting(context: Context, moved: Settled[]): Promise<void> {
  return enqueue(
    context,
    moved.flatMap(({ status, dueInMs = 0 }) => (status === 'pending' ? [{ dueInMs }] : [])),
  );
}

/**
 * Parents that may have more edges: those that reached the limit per parent; all of them when the round reached its
 * total.
 */
function unexhausted(parentIds: string[], edges: { parentId: string }[]): string[] {
  if (edges.length >= SHARE.inAll) return parentIds;
  const counts = new Map<string, number>();
  for (const { parentId } of edges) counts.set(parentId, (counts.get(parentId) ?? 0) + 1);
  return [...counts].flatMap(([parentId, count]) => (count >= SHARE.ofEach ? [parentId] : []));
}

function idOf({ id }: { id: string }): string {
  return id;
}
