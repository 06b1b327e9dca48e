import type { Json, LogLine, ReleaseReply } from '@baton/runner-sdk/protocol';
import type { Context } from '../../context';
import { BatonError } from '../../errors';
import * as store from '../../store/jobs';
import { lockNames } from '../../store/locks';
import { type Group, lockOutcome, waitsForJob } from '../../store/workflows/nested';
import { jobEvent } from '../events/events';
import { answerStaleReport, leaseKey, movedKey, tracesOf } from './stale-report';
import { keepLines } from './logs';
import { requireSize } from './payload-size';
import { settle, settleParents } from './settle';

export interface ReleaseItem {
  jobId: string;
  leaseToken: string;
  delayMs: number;
  checkpoint?: Json | undefined;
  logs?: LogLine[] | undefined;
  /** What must have ended before it goes on. */
  until?: Group | undefined;
}

/**
 * running -> pending, or blocked, given back by its runner (drain, snooze, until something ends): no failure is
 * counted.
 */
export async function release(context: Context, items: ReleaseItem[]): Promise<(ReleaseReply | BatonError)[]> {
  const refused = new Map(
    items.map((item) => [item, requireSize(item.checkpoint, 'checkpoint', context.maxPayloadBytes)]),
  );
  const accepted = items.filter((item) => refused.get(item) === null);
  const moved = await releaseAll(context, accepted, refused);
  context.events.tell(moved.map((job) => jobEvent('job.released', job)));
  await settle(context, moved);
  await settleParents(
    context,
    accepted.flatMap(({ until }) =>
      until === undefined ? [] : 'workflowId' in until ? until.workflowId : until.batchId,
    ),
  );
  const byLease = new Map(moved.map((job) => [movedKey(job), job]));
  const missed = accepted.filter((item) => refused.get(item) === null && !byLease.has(leaseKey(item)));
  const traces = await tracesOf(context.db.vital, missed);
  await keepLines(
    context,
    items.flatMap((item) =>
      linesOf(item, refused.get(item) === null ? byLease.get(leaseKey(item))?.attempt : undefined),
    ),
  );

  return items.map((item) => {
    const fault = refused.get(item) ?? null;
    if (fault !== null) return fault;
    const job = byLease.get(leaseKey(item));
    if (job !== undefined) return { status: job.status, attempt: job.attempt, runAt: job.runAt.toISOString() };
    const trace = traces.get(leaseKey(item));
    const verdict = answerStaleReport(trace, item.leaseToken, { verb: 'release' });
    return verdict instanceof BatonError
      ? verdict
      : { ...verdict, runAt: verdict.runAt ?? new Date(trace?.runAt ?? 0).toISOString() };
  });
}

/** Those that wait for something are moved one by one; what they are refused for is put into `refused`. */
async function releaseAll(
  context: Context,
  items: ReleaseItem[],
  refused: Map<ReleaseItem, BatonError | null>,
): Promise<store.Moved[]> {
  const plain = items.filter(({ until }) => until === undefined);
  const moved =
    plain.length === 0 ? [] : await store.release(context.db.vital, plain, context.queueSettings.hasPrices());
  for (const item of items) {
    const { until } = item;
    if (until === undefined) continue;
    const outcome = await suspend(context, { ...item, until });
    if (outcome instanceof BatonError) refused.set(item, outcome);
    else if (outcome !== null) moved.push(outcome);
  }
  return moved;
}

/**
 * running -> blocked until a workflow or batch has ended; one that has, or is gone, is not waited for.
 * @returns null: it does not run under this token
 * @throws {BatonError} `dependency_cycle` when that waits for the job itself
 */
function suspend(context: Context, item: ReleaseItem & { until: Group }): Promise<store.Moved | BatonError | null> {
  const { jobId, until } = item;
  const parentId = 'workflowId' in until ? until.workflowId : until.batchId;
  return context.db.transaction(async (transaction) => {
    // One at a time, or two that wait for each other would not see each other.
    await lockNames(transaction, [LOCK]);
    const outcome = await lockOutcome(transaction, jobId, until);
    if (outcome === null && (await waitsForJob(transaction, parentId, jobId))) {
      const path = 'workflowId' in until ? 'until.workflowId' : 'until.batchId';
      const message = `${parentId} waits for this job itself, so neither would ever go on`;
      return new BatonError('dependency_cycle', `${path} ${message}.`, { errors: [{ path, message }] });
    }
    return store.suspend(transaction, { ...item, parentId, outcome }, context.queueSettings.hasPrices());
  });
}

const LOCK = 'release until';

function linesOf(item: ReleaseItem, attempt: number | undefined) {
  return attempt === undefined
    ? []
    : (item.logs ?? []).map((line) => ({ jobId: item.jobId, attempt, ...line, fields: line.fields }));
}
