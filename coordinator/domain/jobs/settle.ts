import type { Context } from '../../context';
import { findUnsettled, settleEdges } from '../../store/workflows/edges';
import type { JobRow, Moved, Removed } from '../../store/jobs';
import * as store from '../../store/jobs';
import { findUnended } from '../../store/workflows/end';
import { jobEvent } from '../events/events';
import { enqueue, releaseConcurrency } from './promotion';
import { isFinished } from './transitions';

// What a transition means for other jobs, for every way in which it comes about: what its order, its key or its limit kept
// waiting may go on, its children are freed or cancelled, and its workflow ends. All of it is read from the rows after the
// commit, by guarded statements, so that a crash in between costs a moment: the loop `settle` finds it again. What the rows
// would not show later is in the transition's own statement: a job is not deleted while something unfinished needs it.

/** What of a job that was moved decides what follows. */
export type Settled = Pick<
  JobRow,
  'id' | 'status' | 'queue' | 'concurrencyKey' | 'orderKey' | 'awaited' | 'workflowId' | 'batchId'
> & {
  /** Of one that waits again: in how many milliseconds it is due. Default: now. */
  dueInMs?: number;
};

/** So many children are moved at once, so that who reports waits for a few of them, not for all. */
const SHARE = { ofEach: 100, inAll: 1000 };
const PAGE = 1000;

/** After the commit that moved these jobs. Resolves when what waits for them has had its first turn. Never rejects. */
export async function settle(context: Context, moved: Settled[]): Promise<void> {
  const followed = follow(context, moved);
  await releaseConcurrency(context, moved);
  await enqueueWaiting(context, moved);
  await followed;
}

/** After the commit that blocked jobs that wait for these: some had ended before, or ended at the same moment. */
export function settleParents(context: Context, parentIds: string[]): Promise<void> {
  return context.followUps.dependants.add(parentIds);
}

/** After the commit that deleted these jobs. A failed one may have kept those behind it in its order waiting. */
export function settleRemoved(context: Context, gone: Removed[]): Promise<void> {
  return releaseConcurrency(context, gone);
}

/**
 * Settles edges of parents that have ended, or are gone: their children are freed, or cancelled.
 * @param parentIds of jobs, or of workflows that jobs wait for
 * @returns the parents that have more children
 */
export async function freeDependants(context: Context, parentIds: string[]): Promise<string[]> {
  const { edges, moved } = await context.db.transaction(async (transaction) => {
    const settled = await settleEdges(transaction, parentIds, SHARE);
    const children = [...new Set(settled.map(({ jobId }) => jobId))];
    const blocked = children.length === 0 ? [] : await store.lockBlocked(transaction, children);
    const freed = blocked.length === 0 ? [] : await store.unblock(transaction, blocked.map(idOf));
    const gates = blocked.filter(({ isGate }) => isGate).map(idOf);
    if (gates.length > 0) await store.startGates(transaction, gates);
    return { edges: settled, moved: freed };
  });
  context.events.tell(moved.map((job) => jobEvent(job.status === 'pending' ? 'job.unblocked' : 'job.cancelled', job)));
  // Their own children have the next round.
  void follow(context, moved);
  await releaseConcurrency(
    context,
    moved.filter(({ status }) => isFinished(status)),
  );
  await enqueueWaiting(context, moved);
  return unexhausted(parentIds, edges);
}

/**
 * One page of what a crash may have left: parents that have ended though their children do not know it, and workflows that run
 * though their jobs have finished.
 * @param after where the page before ended
 * @returns where this one ended
 */
export async function settleLeftBehind(context: Context, after: LeftBehind): Promise<LeftBehind> {
  const parents = await findUnsettled(context.db, after.parentId, PAGE);
  const workflows = await findUnended(context.db, after.workflowId, PAGE);
  await context.followUps.dependants.add(parents.flatMap(({ parentId, isOver }) => (isOver ? [parentId] : [])));
  await context.followUps.workflows.add(workflows.flatMap(({ id, isOver }) => (isOver ? [id] : [])));
  return {
    parentId: parents.length < PAGE ? null : (parents.at(-1)?.parentId ?? null),
    workflowId: workflows.length < PAGE ? null : (workflows.at(-1)?.id ?? null),
  };
}

/** How far the loop has come; null: it begins anew. */
export interface LeftBehind {
  parentId: string | null;
  workflowId: string | null;
}

/** Jobs for which nobody waits are in no list here, and cost no statement. */
async function follow(context: Context, moved: (Settled | Moved)[]): Promise<void> {
  const ended = moved.filter(({ status }) => isFinished(status));
  if (ended.length === 0) return;
  context.notifications.publishFinished(ended.map(idOf));
  // Whoever reports need not wait for the end of the workflow or batch.
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

/** Parents of which as many edges were settled as a round settles; of all together, those may have more, too, that had no turn. */
function unexhausted(parentIds: string[], edges: { parentId: string }[]): string[] {
  if (edges.length >= SHARE.inAll) return parentIds;
  const counts = new Map<string, number>();
  for (const { parentId } of edges) counts.set(parentId, (counts.get(parentId) ?? 0) + 1);
  return [...counts].flatMap(([parentId, count]) => (count >= SHARE.ofEach ? [parentId] : []));
}

function idOf({ id }: { id: string }): string {
  return id;
}
