import type { Json, LogLine, ReleaseReply } from '@baton/runner-sdk/protocol';
import type { Context } from '../../context';
import { BatonError } from '../../errors';
import * as store from '../../store/jobs';
import { traceTokens } from '../../store/leases';
import { jobEvent } from '../events/events';
import { judgeStaleReport, leaseKey, movedKey, traceOf } from './stale-report';
import { keepLines } from './logs';
import { requireSize } from './payload-size';
import { settle } from './settle';

export interface ReleaseItem {
  jobId: string;
  leaseToken: string;
  delayMs: number;
  checkpoint?: Json | undefined;
  logs?: LogLine[] | undefined;
}

/** running -> pending, given back by its runner (drain, snooze): no failure is counted. */
export async function release(context: Context, items: ReleaseItem[]): Promise<(ReleaseReply | BatonError)[]> {
  const refused = new Map(
    items.map((item) => [item, requireSize(item.checkpoint, 'checkpoint', context.maxPayloadBytes)]),
  );
  const accepted = items.filter((item) => refused.get(item) === null);
  const moved =
    accepted.length === 0 ? [] : await store.release(context.db.vital, accepted, context.queueSettings.hasPrices());
  context.events.tell(moved.map((job) => jobEvent('job.released', job)));
  await settle(context, moved);
  const byLease = new Map(moved.map((job) => [movedKey(job), job]));
  const missed = accepted.filter((item) => !byLease.has(leaseKey(item)));
  const traces = missed.length === 0 ? [] : await traceTokens(context.db.vital, missed);
  await keepLines(
    context,
    items.flatMap((item) =>
      linesOf(item, refused.get(item) === null ? byLease.get(leaseKey(item))?.attempt : undefined),
    ),
  );

  return items.map((item) => {
    const tooLarge = refused.get(item) ?? null;
    if (tooLarge !== null) return tooLarge;
    const job = byLease.get(leaseKey(item));
    if (job !== undefined) return { status: 'pending' as const, attempt: job.attempt, runAt: job.runAt.toISOString() };
    const trace = traceOf(traces, item);
    const verdict = judgeStaleReport(trace, item.leaseToken, { verb: 'release' });
    return verdict instanceof BatonError
      ? verdict
      : { ...verdict, runAt: verdict.runAt ?? new Date(trace?.runAt ?? 0).toISOString() };
  });
}

function linesOf(item: ReleaseItem, attempt: number | undefined) {
  return attempt === undefined
    ? []
    : (item.logs ?? []).map((line) => ({ jobId: item.jobId, attempt, ...line, fields: line.fields }));
}
