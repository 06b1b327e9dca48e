import type { CompleteReply, Json, JobMetrics, LogLine, ReportedError } from '@baton/runner-sdk/protocol';
import type { Context } from '../../context';
import { BatonError } from '../../errors';
import * as store from '../../store/jobs';
import { keepLate } from '../../store/leases';
import { jobEvent } from '../events/events';
import { keepObjects, type NamedBy } from '../objects/references';
import { fail, publicError } from './fail';
import { answerStaleReport, leaseKey, movedKey, type Report, tracesOf } from './stale-report';
import { heartbeat, type HeartbeatItem } from './heartbeat';
import { keepLines } from './logs';
import { requireSize } from './payload-size';
import { settle } from './settle';

export interface CompleteItem {
  jobId: string;
  leaseToken: string;
  outcome: 'completed' | 'failed';
  /** Only for a completed attempt; in the report of a failure it is neither validated nor used. */
  result?: Json | undefined;
  error?: ReportedError | undefined;
  metrics?: JobMetrics | undefined;
  progress?: HeartbeatItem['progress'];
  logs?: LogLine[] | undefined;
}

/**
 * running -> completed, or through `fail` -> pending | failed: ends attempts as their runners report, each report on
 * its own. A repeated report gets the same answer. A report that arrives after its lease was lost changes nothing, but
 * is stored with its attempt.
 */
export async function complete(context: Context, items: CompleteItem[]): Promise<(CompleteReply | BatonError)[]> {
  const replies = new Map<CompleteItem, CompleteReply | BatonError>();
  for (const item of items) {
    const tooLarge = requireSize(resultOf(item), 'result', context.maxPayloadBytes);
    if (tooLarge !== null) replies.set(item, tooLarge);
  }
  for (const [item, fault] of await keepObjects(context, items, objectsOf)) replies.set(item, fault);
  await keepProgress(context, items);
  const reports = firstOfEach(replies.size === 0 ? items : items.filter((item) => !replies.has(item)));
  const [completed, failed] = await Promise.all([moveCompleted(context, reports), moveFailed(context, reports)]);
  for (const [item, reply] of completed) replies.set(item, reply);
  for (const [item, reply] of failed) replies.set(item, reply);

  const missed = items.filter((item) => !replies.has(item));
  for (const [item, reply] of await answerMissed(context, missed)) replies.set(item, reply);
  await keepLines(
    context,
    items.flatMap((item) => (item.logs === undefined ? NO_LINES : linesOf(item, replies.get(item)))),
  );
  return items.map((item) => replies.get(item) ?? new BatonError('internal', 'The report was not judged.'));
}

/** Stores progress that no heartbeat has sent, as a heartbeat would under the same token. Few reports have any. */
async function keepProgress(context: Context, items: CompleteItem[]): Promise<void> {
  const speaking = items.filter(({ progress }) => progress !== undefined);
  if (speaking.length === 0) return;
  await heartbeat(
    context,
    speaking.map(({ jobId, leaseToken, progress }) => ({ jobId, leaseToken, progress })),
  );
}

function objectsOf(item: CompleteItem): NamedBy {
  return { jobId: item.jobId, value: resultOf(item), field: 'result', ownUser: null };
}

const NO_LINES: never[] = [];

type Replies = [CompleteItem, CompleteReply | BatonError][];

/** The first of several reports with one token; the others are judged after it was stored. */
function firstOfEach(items: CompleteItem[]): CompleteItem[] {
  const first = new Map<string, CompleteItem>();
  for (const item of items) {
    const key = leaseKey(item);
    if (!first.has(key)) first.set(key, item);
  }
  return first.size === items.length ? items : [...first.values()];
}

async function moveCompleted(context: Context, items: CompleteItem[]): Promise<Replies> {
  const reports = items.filter((item) => item.outcome === 'completed');
  if (reports.length === 0) return [];
  const moved = await store.complete(
    context.db.vital,
    reports.map(({ jobId, leaseToken, result, metrics }) => ({
      jobId,
      leaseToken,
      result: text(result),
      metrics: text(metrics),
    })),
    context.queueSettings.hasPrices(),
  );
  context.events.tell(moved.map((job) => jobEvent('job.completed', job, undefined, { runMs: job.runMs })));
  await settle(context, moved);
  const attempts = new Map(moved.map((job) => [movedKey(job), job.attempt]));
  const replies: Replies = [];
  for (const item of reports) {
    const attempt = attempts.get(leaseKey(item));
    if (attempt !== undefined) replies.push([item, { status: 'completed', attempt }]);
  }
  return replies;
}

async function moveFailed(context: Context, items: CompleteItem[]): Promise<Replies> {
  const reports = items.filter((item) => item.outcome === 'failed');
  if (reports.length === 0) return [];
  const moved = await fail(
    context,
    context.db.vital,
    reports.map((item) => ({ ...item, outcome: 'failed', error: errorOf(item), metrics: item.metrics ?? null })),
  );
  const byLease = new Map(moved.map((job) => [movedKey(job), job]));
  return reports.flatMap((item): Replies => {
    const job = byLease.get(leaseKey(item));
    if (job === undefined) return [];
    const again = job.status === 'pending' ? { runAt: job.runAt.toISOString() } : {};
    return [[item, { status: job.status, attempt: job.attempt, ...again }]];
  });
}

async function answerMissed(context: Context, missed: CompleteItem[]): Promise<Replies> {
  if (missed.length === 0) return [];
  const traces = await tracesOf(
    context.db.vital,
    missed.map((item) => ({ ...item, said: item.outcome === 'completed' ? item.result : publicError(errorOf(item)) })),
  );
  const judged = missed.map((item): [CompleteItem, CompleteReply | BatonError] => {
    const trace = traces.get(leaseKey(item));
    return [item, answerStaleReport(trace, item.leaseToken, reportOf(item))];
  });
  const late = judged.filter(
    ([, reply]) => reply instanceof BatonError && (reply.code === 'lease_lost' || reply.code === 'job_cancelled'),
  );
  if (late.length > 0) {
    await keepLate(
      context.db.vital,
      late.map(([item]) => ({
        jobId: item.jobId,
        leaseToken: item.leaseToken,
        outcome: item.outcome,
        result: resultOf(item),
        error: item.error,
      })),
    );
  }
  return judged;
}

function reportOf(item: CompleteItem): Report {
  if (item.outcome === 'completed') return { verb: 'complete', outcome: 'completed', result: item.result };
  return { verb: 'complete', outcome: 'failed', error: publicError(errorOf(item)) };
}

function resultOf(item: CompleteItem): Json | undefined {
  return item.outcome === 'completed' ? item.result : undefined;
}

function errorOf(item: CompleteItem): ReportedError {
  return item.error ?? { message: 'The runner reported a failure without an error.', retryable: true };
}

function text(value: unknown): string | null {
  return value === undefined ? null : JSON.stringify(value);
}

function linesOf(item: CompleteItem, reply: CompleteReply | BatonError | undefined) {
  if (reply === undefined || reply instanceof BatonError) return [];
  return (item.logs ?? []).map((line) => ({ jobId: item.jobId, attempt: reply.attempt, ...line, fields: line.fields }));
}
