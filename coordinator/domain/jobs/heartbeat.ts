import type { Json, LogLine } from '@baton/runner-sdk/protocol';
import type { Context } from '../../context';
import { BatonError } from '../../errors';
import { repeated } from '../../store/db';
import * as store from '../../store/jobs';
import { answerStaleReport, leaseKey, leaseLost, movedKey, tracesOf } from './stale-report';
import { keepLines } from './logs';
import { requireSize } from './payload-size';

export interface HeartbeatItem {
  jobId: string;
  leaseToken: string;
  progress?: { percent: number; message?: string | undefined } | undefined;
  checkpoint?: Json | undefined;
  logs?: LogLine[] | undefined;
}

/** running -> running: extends each lease whose token is current, and keeps its progress, checkpoint and log lines. */
export async function heartbeat(
  context: Context,
  items: HeartbeatItem[],
): Promise<({ leaseExpiresAt: Date; runnerId: string } | BatonError)[]> {
  const refused = items.map((item) => requireSize(item.checkpoint, 'checkpoint', context.maxPayloadBytes));
  const beats = new Map<string, store.Extend>();
  items.forEach((item, index) => {
    // Several items of one lease in a batch are merged; later fields win.
    if (refused[index] === null) beats.set(leaseKey(item), { ...beats.get(leaseKey(item)), ...toExtend(item) });
  });
  const extended = beats.size === 0 ? [] : await repeated(() => store.extend(context.db.vital, [...beats.values()]));
  const held = new Map(extended.map((row) => [movedKey(row), row]));
  const missed = items.filter((item, index) => refused[index] === null && !held.has(leaseKey(item)));
  const traces = await tracesOf(context.db.vital, missed);
  await keepLines(
    context,
    items.flatMap((item) => linesOf(item, held.get(leaseKey(item))?.attempt)),
  );

  return items.map((item, index) => {
    const row = held.get(leaseKey(item));
    if (row !== undefined) return refused[index] ?? { leaseExpiresAt: row.leaseExpiresAt, runnerId: row.runnerId };
    const verdict =
      refused[index] ?? answerStaleReport(traces.get(leaseKey(item)), item.leaseToken, { verb: 'heartbeat' });
    return verdict instanceof BatonError ? verdict : leaseLost();
  });
}

function toExtend({ jobId, leaseToken, progress, checkpoint }: HeartbeatItem): store.Extend {
  return {
    jobId,
    leaseToken,
    ...(progress === undefined ? {} : { progress: { percent: progress.percent, message: progress.message ?? null } }),
    ...(checkpoint === undefined ? {} : { checkpoint }),
  };
}

function linesOf(item: HeartbeatItem, attempt: number | undefined) {
  return attempt === undefined
    ? []
    : (item.logs ?? []).map((line) => ({ jobId: item.jobId, attempt, ...line, fields: line.fields }));
}
