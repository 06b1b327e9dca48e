import { isDeepStrictEqual } from 'node:util';
import type { CompleteReply, JobStatus } from '@baton/runner-sdk/protocol';
import { BatonError } from '../../errors';
import type { Executor } from '../../store/db';
import { type TokenTrace, traceTokens } from '../../store/leases';

/** A report whose token moved nothing. */
export type Report =
  | { verb: 'heartbeat' }
  | { verb: 'release' }
  | { verb: 'complete'; outcome: 'completed'; result: unknown }
  | { verb: 'complete'; outcome: 'failed'; error: unknown };

/**
 * Decides the answer to a report whose token did not move its job: either the same report moved it before and the
 * answer was lost, then it is given again; or the lease is over.
 */
export function answerStaleReport(
  trace: TokenTrace | undefined,
  leaseToken: string,
  report: Report,
): CompleteReply | BatonError {
  if (trace === undefined) return new BatonError('not_found', 'There is no such job.');
  if (trace.past !== null) return answerPast(trace.past, report);
  if (trace.leaseToken === leaseToken && trace.status === 'completed') return answerCompleted(trace, report);
  if (trace.leaseToken === leaseToken && trace.status === 'running') {
    return new BatonError('unavailable', 'The job is being moved by another call; repeat this one.', {
      retryAfterMs: 1000,
    });
  }
  return leaseLost();
}

/**
 * Key of a report: several reports may name one job, but at most one of them has the current token. Both ids are lower
 * case, as parsed.
 */
export function leaseKey({ jobId, leaseToken }: { jobId: string; leaseToken: string }): string {
  return jobId + leaseToken;
}

/**
 * What is known of the tokens of these reports, by `leaseKey`. Each is looked up once, even if a thousand reports name
 * it, and nothing is read that is longer than what was reported.
 */
export async function tracesOf(
  db: Executor,
  reports: { jobId: string; leaseToken: string; said?: unknown }[],
): Promise<Map<string, TokenTrace>> {
  const asked = new Map<string, { jobId: string; leaseToken: string; bytes: number }>();
  for (const report of reports) {
    const { jobId, leaseToken, said } = report;
    const key = leaseKey(report);
    const bytes = said === undefined ? 0 : Buffer.byteLength(JSON.stringify(said));
    asked.set(key, { jobId, leaseToken, bytes: Math.max(asked.get(key)?.bytes ?? 0, bytes) });
  }
  if (asked.size === 0) return new Map();
  const traces = await traceTokens(db, [...asked.values()]);
  return new Map(traces.map((trace) => [leaseKey({ jobId: trace.id, leaseToken: trace.askedToken }), trace]));
}

export function movedKey({ id, leaseToken }: { id: string; leaseToken: string }): string {
  return leaseKey({ jobId: id, leaseToken });
}

export function leaseLost(): BatonError {
  return new BatonError(
    'lease_lost',
    'This lease token is not the current one: the lease ran out, was released, or went to another attempt.',
  );
}

function answerPast(past: NonNullable<TokenTrace['past']>, report: Report): CompleteReply | BatonError {
  switch (past.outcome) {
    case 'cancelled':
      return new BatonError('job_cancelled', 'The job was cancelled while this attempt ran; stop working on it.');
    case 'released':
      return report.verb === 'release' ? replyAgain(past) : leaseLost();
    case 'failed':
      if (report.verb !== 'complete') return leaseLost();
      if (report.outcome === 'failed' && isDeepStrictEqual(past.error, plain(report.error))) return replyAgain(past);
      return new BatonError('state_conflict', 'This attempt was already reported as failed, with another report.');
    default:
      return leaseLost();
  }
}

function answerCompleted(trace: TokenTrace, report: Report): CompleteReply | BatonError {
  if (report.verb !== 'complete') return leaseLost();
  const isSame =
    report.outcome === 'completed' && !trace.isLonger && isDeepStrictEqual(trace.result, plain(report.result) ?? null);
  if (isSame) return { status: 'completed', attempt: trace.attempt };
  return new BatonError('state_conflict', 'This attempt was already reported as completed, with another report.');
}

function replyAgain(past: NonNullable<TokenTrace['past']>): CompleteReply {
  const runAt = past.reply?.runAt ?? null;
  return {
    status: (past.reply?.status ?? 'pending') as JobStatus,
    attempt: past.attempt,
    ...(runAt === null ? {} : { runAt: new Date(runAt).toISOString() }),
  };
}

/** The value as it reads after being stored, so that -0, undefined members and the like compare equal. */
function plain(value: unknown): unknown {
  return value === undefined ? undefined : JSON.parse(JSON.stringify(value));
}
