import type { Json, LogLine, ReleaseReply } from '@baton/runner-sdk/protocol';
import type { Context } from '../../context';
import { BatonError } from '../../errors';
import * as store from '../../store/jobs';
import { traceTokens } from '../../store/leases';
import { jobEvent } from '../events/events';
import { judgeToken } from './fence';
import { keepLines } from './logs';

export interface ReleaseItem {
  jobId: string;
  leaseToken: string;
  delayMs: number;
  checkpoint?: Json | undefined;
  logs?: LogLine[] | undefined;
}

/** running -> pending, given back by its runner (drain, snooze): no failure is counted. */
export async function release(context: Context, items: ReleaseItem[]): Promise<(ReleaseReply | BatonError)[]> {
  const moved = await store.release(context.db.vital, items);
  context.hints.giveReady(moved.map((job) => ({ laneId: job.laneId, dueInMs: job.dueInMs, runAtMs: job.runAt.getTime() })));
  context.events.tell(moved.map((job) => jobEvent('job.released', job)));
  const byId = new Map(moved.map((job) => [job.id, job]));
  const missed = items.filter((item) => !byId.has(item.jobId));
  const traces = missed.length === 0 ? [] : await traceTokens(context.db.vital, missed);
  await keepLines(context, items.flatMap((item) => linesOf(item, byId.get(item.jobId)?.attempt)));

  return items.map((item) => {
    const job = byId.get(item.jobId);
    if (job !== undefined) return { status: 'pending' as const, attempt: job.attempt, runAt: job.runAt.toISOString() };
    const trace = traces.find((one) => one.id === item.jobId);
    const verdict = judgeToken(trace, item.leaseToken, { verb: 'release' });
    return verdict instanceof BatonError ? verdict : { ...verdict, runAt: verdict.runAt ?? new Date(trace?.runAt ?? 0).toISOString() };
  });
}

function linesOf(item: ReleaseItem, attempt: number | undefined) {
  return attempt === undefined ? [] : (item.logs ?? []).map((line) => ({ jobId: item.jobId, attempt, ...line, fields: line.fields }));
}
