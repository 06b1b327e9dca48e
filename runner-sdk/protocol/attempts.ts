import { z } from 'zod';
import { sentLogLines } from './logs';
import { type Json, payload, payloadFault } from './payload';
import { cleanedText, cleanText, durationMs, id, labels, name, text, timestamp } from './primitives';
import { itemError } from './problem';
import { attemptOutcome, jobStatus, timeoutMs } from './jobs';

// Runners' calls ignore fields they do not know, so that an older coordinator serves a newer runner.

/** What the coordinator asks of a runner; rides on every answer to one. */
export const directives = z.object({
  /** Stop claiming, finish what runs, and exit or wait for a claim to be answered again. */
  drain: z.boolean().optional(),
  /** How often to heartbeat. */
  heartbeatMs: z.int().optional(),
});
export type Directives = z.infer<typeof directives>;

export const runnerId = text(200);
export const leaseToken = z.uuid().toLowerCase();

const claimFields = {
  runnerId,
  /** Sent again with the same value, a claim whose answer was lost brings the same jobs and tokens. */
  claimId: text(100).optional(),
  types: z.array(name).min(1).max(200),
  /** Default: all queues. */
  queues: z.array(name).min(1).max(200).optional(),
  labels: labels.default({}),
  max: z.int().min(1).max(500).default(1),
  waitMs: z.int().min(0).max(50_000).default(0),
  leaseMs: durationMs(1000, 600_000).default(30_000),
  /** The runner's own version, shown in the list of runners. */
  version: text(100).optional(),
};
export const claim = z.object(claimFields);
export type Claim = z.infer<typeof claim>;
export type ClaimInput = z.input<typeof claim>;

/** A job in a runner's hand. */
export const claimedJob = z.object({
  id,
  type: z.string(),
  queue: z.string(),
  arguments: z.unknown(),
  attempt: z.int(),
  maxAttempts: z.int(),
  leaseToken,
  leaseExpiresAt: timestamp,
  /** How long the lease lasts from when the claim was sent, and again from each heartbeat. */
  leaseMs: z.int(),
  deadlineAt: timestamp,
  timeoutMs,
  metadata: z.record(z.string(), z.unknown()).nullable(),
  tags: z.array(z.string()),
  userId: z.string().nullable(),
  dependencies: z.record(z.string(), z.object({ status: jobStatus, result: z.unknown() })),
  checkpoint: z.unknown(),
  /** The trace that its create belongs to, if any; `tracestate` stands beside it when the trace has one. */
  traceparent: z.string().nullable(),
  tracestate: z.string().optional(),
});
export type ClaimedJob = z.infer<typeof claimedJob>;
export const claimReply = z.object({ jobs: z.array(claimedJob), directives });
export type ClaimReply = z.infer<typeof claimReply>;

/** Percent outside 0 to 100 is moved to the nearest end. */
export const sentProgress = z.object({
  percent: z.coerce
    .number()
    .catch(0)
    .transform((percent) => Math.min(100, Math.max(0, percent))),
  message: cleanedText(1000).optional(),
});

const sign = {
  progress: sentProgress.optional().catch(undefined),
  logs: sentLogLines.optional(),
  /** Small JSON handed to the next attempt. */
  checkpoint: payload.optional(),
};
export const heartbeat = z.object({ leaseToken, ...sign });
export type Heartbeat = z.infer<typeof heartbeat>;
export const heartbeatReply = z.object({ leaseExpiresAt: timestamp, directives });
export type HeartbeatReply = z.infer<typeof heartbeatReply>;

/** Each of `jobs` is judged alone, so that what is wrong with one costs the others nothing. */
export const heartbeats = z.object({ runnerId, jobs: z.array(z.unknown()).max(1000) });
export const beat = z.object({ jobId: id, leaseToken, ...sign });
export type HeartbeatsInput = { runnerId: string; jobs: z.input<typeof beat>[] };
export const heartbeatsReply = z.object({
  jobs: z.array(
    z.union([z.object({ jobId: id, leaseExpiresAt: timestamp }), z.object({ jobId: z.unknown(), ...itemError.shape })]),
  ),
  directives,
});
export type HeartbeatsReply = z.infer<typeof heartbeatsReply>;

const MOST_MESSAGE = 8000;

/** What went wrong. Its texts are cleaned, never refused; what is no object is taken for the message. */
export const reportedError = z
  .object({
    message: cleanedText(MOST_MESSAGE),
    code: cleanedText(200).optional(),
    stack: cleanedText(16_000).optional(),
    retryable: z.boolean().catch(true).default(true),
    /** When to try again, instead of the job's own backoff. */
    retryAfterMs: durationMs(0, 30 * 86_400_000)
      .optional()
      .catch(undefined),
  })
  .catch(({ value }) => ({ message: cleanText(value, MOST_MESSAGE), retryable: true }));
export type ReportedError = z.infer<typeof reportedError>;

const figure = z.number().min(0).max(1e15).nullable().catch(null).default(null);
export const reportedMetrics = z.object({ durationMs: figure, cpuMs: figure, memoryPeakBytes: figure, cost: figure });

const report = {
  leaseToken,
  outcome: attemptOutcome.extract(['completed', 'failed']),
  /** What came of it; only beside `completed`. */
  result: z.custom<Json>().optional(),
  error: reportedError.optional(),
  metrics: reportedMetrics.optional().catch(undefined),
  logs: sentLogLines.optional(),
};
export const complete = z.object(report).superRefine(checkResult);
export type Complete = z.infer<typeof complete>;
export type CompleteInput = z.input<typeof complete>;
export const completeReply = z.object({
  status: jobStatus,
  attempt: z.int(),
  /** When it is tried again, if it is. */
  runAt: timestamp.optional(),
});
export type CompleteReply = z.infer<typeof completeReply>;

export const completions = z.object({
  completions: z.array(z.unknown()).max(1000),
  /** Claims the next jobs in the same round trip. It never waits: an acknowledgement is not held back. */
  claim: claim.optional(),
});
export const completion = z.object({ jobId: id, ...report }).superRefine(checkResult);
export type CompletionsInput = { completions: z.input<typeof completion>[]; claim?: ClaimInput };
export const completionsReply = z.object({
  results: z.array(
    z.union([z.object({ jobId: id, ...completeReply.shape }), z.object({ jobId: z.unknown(), ...itemError.shape })]),
  ),
  jobs: z.array(claimedJob).optional(),
  directives,
});
export type CompletionsReply = z.infer<typeof completionsReply>;

export const release = z.object({
  leaseToken,
  delayMs: durationMs(0, 30 * 86_400_000).default(0),
  checkpoint: payload.optional(),
  logs: sentLogLines.optional(),
});
export type Release = z.infer<typeof release>;
export const releaseReply = z.object({ status: jobStatus, attempt: z.int(), runAt: timestamp });
export type ReleaseReply = z.infer<typeof releaseReply>;

/** Kept on an attempt whose report came too late. */
export const lateResult = z.object({ outcome: attemptOutcome, result: z.unknown(), error: z.unknown(), at: timestamp });

/** A result passes the payload gate. Beside a failure nobody reads it, and it must not keep the failure from being told. */
function checkResult(
  { outcome, result }: { outcome: string; result?: Json | undefined },
  context: z.RefinementCtx,
): void {
  const fault = outcome === 'completed' && result !== undefined ? payloadFault(result) : null;
  if (fault !== null) context.addIssue({ code: 'custom', path: ['result', ...fault.path], message: fault.message });
}
