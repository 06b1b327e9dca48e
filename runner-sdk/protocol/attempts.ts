import { z } from 'zod';
import { sentLogLines } from './logs';
import { type Json, payload, payloadFault } from './payload';
import { cleanedText, cleanText, durationMs, id, labels, name, text, timestamp } from './primitives';
import { itemError } from './problem';
import { attemptOutcome, DEADLINE_FACTOR, jobStatus, timeoutMs } from './jobs';

// Runners' requests ignore unknown fields, so that an older coordinator can serve a newer runner.

/** Requests of the coordinator to a runner; part of every answer to one. */
export const directives = z.object({
  drain: z
    .boolean()
    .optional()
    .describe(
      'If true, the runner stops claiming jobs, finishes those it has, and exits or waits until claims are answered again.',
    ),
  heartbeatMs: z.int().optional().describe('How often the runner should send heartbeats, in milliseconds.'),
  publishTypes: z
    .boolean()
    .optional()
    .describe('If true, the coordinator does not know the `typeSet` of the claim: publish the schemas again.'),
});
export type Directives = z.infer<typeof directives>;

export const runnerId = text(200);
export const leaseToken = z.uuid().toLowerCase();

const claimFields = {
  runnerId: runnerId.describe('A name for the runner process, unique among all runners.'),
  claimId: text(100)
    .optional()
    .describe(
      'A name for this claim. Repeating a claim with the same `runnerId` and `claimId` after a lost answer returns the same jobs and lease tokens.',
    ),
  types: z.array(name).min(1).max(200).describe('The job types that the runner can handle.'),
  queues: z.array(name).min(1).max(200).optional().describe('The queues to claim from; default: all queues.'),
  labels: labels.default({}).describe("The runner's labels, matched against `requires` and `prefers` of the jobs."),
  max: z
    .int()
    .min(1)
    .max(500)
    .default(1)
    .describe(
      'The largest number of jobs to return. One response holds at most 16 MiB of arguments, metadata and checkpoints, and at least one job.',
    ),
  waitMs: z
    .int()
    .min(0)
    .max(50_000)
    .default(0)
    .describe(
      'How long to wait for a job if there is none, in milliseconds; 0 answers at once. The answer comes after 45,000 ms at the latest.',
    ),
  leaseMs: durationMs(1000, 600_000)
    .default(30_000)
    .describe('How long the lease of each claimed job lasts without a heartbeat, in milliseconds.'),
  version: text(100).optional().describe("The runner's own version, shown in the list of runners."),
  typeSet: text(64)
    .optional()
    .catch(undefined)
    .describe("What `PUT /runners/:id/types` answered: the runner's published schemas."),
};
export const claim = z.object(claimFields);
export type Claim = z.infer<typeof claim>;
export type ClaimInput = z.input<typeof claim>;

/** How a parent of a job ended. */
export const dependency = z.object({
  id: id.describe('Id of that job, or of the workflow that was waited for.'),
  status: z.enum(['completed', 'failed', 'cancelled']).describe('How it ended.'),
  result: z
    .unknown()
    .optional()
    .describe('What it completed with; null: nothing, or the job was deleted. Absent: read it at `resultUrl`.'),
  resultUrl: z
    .string()
    .optional()
    .describe(
      'The path where the result can be read, with the lease token as `Baton-Lease`. Absent: `result` is there.',
    ),
});
export type Dependency = z.infer<typeof dependency>;

/** The same, read separately. */
export const dependencyResult = dependency.omit({ resultUrl: true });

/** A claimed job. */
export const claimedJob = z.object({
  id: id.describe('Id of the job (UUIDv7).'),
  type: z.string().describe('The job type, which selects the handler.'),
  queue: z.string().describe('The queue of the job.'),
  arguments: z.unknown().describe('The arguments that the job was created with.'),
  attempt: z.int().describe('Number of this attempt, starting at 1.'),
  maxAttempts: z.int().describe('After how many failed attempts the job fails for good.'),
  leaseToken: leaseToken.describe(
    'Secret that proves ownership of this attempt; required by heartbeat, complete and release.',
  ),
  leaseExpiresAt: timestamp.describe('When the lease expires unless a heartbeat extends it.'),
  leaseMs: z
    .int()
    .describe(
      'How long the lease lasts, counted from when the claim was sent and again from each heartbeat, in milliseconds.',
    ),
  deadlineAt: timestamp.describe(
    `When the attempt times out even if heartbeats continue: ${DEADLINE_FACTOR} × \`timeoutMs\` after it started.`,
  ),
  timeoutMs: timeoutMs.describe('How long the handler may run, in milliseconds. The runner aborts it after that.'),
  metadata: z
    .record(z.string(), z.unknown())
    .nullable()
    .describe('Metadata that the job was created with; null: none.'),
  tags: z.array(z.string()).describe('Tags of the job.'),
  userId: z.string().nullable().describe('The user that the job belongs to; null: none.'),
  dependencies: z
    .record(z.string(), dependency)
    .describe(
      'How the jobs that this one waited for have ended, by id, or within a workflow by key. Results are inline up to 256 KiB in all, the smallest first.',
    ),
  workflowId: id.nullable().describe('Id of the workflow that the job belongs to; null: none.'),
  checkpoint: z.unknown().describe('The last checkpoint that an earlier attempt saved; null: none.'),
  traceparent: z.string().nullable().describe('W3C trace context of the request that created the job; null: none.'),
  tracestate: z.string().optional().describe('W3C `tracestate` that belongs to `traceparent`; absent: none.'),
});
export type ClaimedJob = z.infer<typeof claimedJob>;
export const claimReply = z.object({
  jobs: z.array(claimedJob).describe('The claimed jobs; empty if there was none within `waitMs`.'),
  directives: directives.describe('What the coordinator asks of the runner.'),
});
export type ClaimReply = z.infer<typeof claimReply>;

/** Values outside 0 to 100 are clamped. */
export const sentProgress = z.object({
  percent: z
    .union([
      z.number(),
      z
        .string()
        .regex(/^\s*-?\d+(\.\d+)?\s*$/)
        .transform(Number),
    ])
    .transform((percent) => Math.min(100, Math.max(0, percent)))
    .describe('How much is done, from 0 to 100. Values outside are moved to the nearest limit.'),
  message: cleanedText(1000).optional().describe('What the job is doing at the moment, in words.'),
});

const sign = {
  progress: sentProgress.optional().catch(undefined).describe('Progress of the job, shown to clients.'),
  logs: sentLogLines
    .optional()
    .describe('Log lines of the attempt, at most 1,000 in one call; of a longer list the first and last are kept.'),
  checkpoint: payload
    .optional()
    .describe('Small JSON value that the next attempt receives. It replaces the previous checkpoint.'),
};
export const heartbeat = z.object({ leaseToken: leaseToken.describe('The lease token from the claim.'), ...sign });
export type Heartbeat = z.infer<typeof heartbeat>;
export const heartbeatReply = z.object({
  leaseExpiresAt: timestamp.describe('When the extended lease expires.'),
  directives: directives.describe('What the coordinator asks of the runner.'),
});
export type HeartbeatReply = z.infer<typeof heartbeatReply>;

/** Each of `jobs` is handled on its own, so that a bad item does not affect the others. */
export const heartbeats = z.object({
  runnerId: runnerId.describe('The runner that sends the heartbeats.'),
  jobs: z
    .array(z.unknown())
    .max(1000)
    .describe('One heartbeat for each job. Each is judged alone: an invalid one does not affect the others.'),
  waitMs: z
    .int()
    .min(0)
    .max(50_000)
    .default(0)
    .describe(
      'How long the call waits, after it has extended the leases, for a job of this runner to be cancelled or the runner to be drained, in milliseconds. The answer comes after 45,000 ms at the latest.',
    ),
  isDraining: z
    .boolean()
    .catch(false)
    .default(false)
    .describe(
      'With `waitMs`: whether the runner has been told to drain. When that has changed, the call does not wait.',
    ),
  goodbye: z
    .boolean()
    .catch(false)
    .default(false)
    .describe('The runner has stopped: it is listed as `stopped`, and no alert takes it for lost.'),
});
export const beat = z.object({
  jobId: id.describe('Id of the job.'),
  leaseToken: leaseToken.describe('The lease token from the claim.'),
  ...sign,
});
export type HeartbeatsInput = {
  runnerId: string;
  jobs: z.input<typeof beat>[];
  waitMs?: number;
  isDraining?: boolean;
  goodbye?: boolean;
};
const sentJobId = "The `jobId` of the request's item.";
export const extendedLease = z.object({
  jobId: id.describe(sentJobId),
  leaseExpiresAt: timestamp.describe('When the extended lease expires.'),
});
/** An item that was refused; the others of its call are not affected. */
export const refusedItem = z.object({ jobId: z.unknown().describe(sentJobId), ...itemError.shape });
export const heartbeatsReply = z.object({
  jobs: z
    .array(z.union([extendedLease, refusedItem]))
    .describe('The outcome for each heartbeat, in the order of the request.'),
  check: z
    .union([z.array(z.string()), z.literal('all')])
    .optional()
    .describe(
      'With `waitMs` only: jobs that may have been cancelled, or all. Send a heartbeat for those that the runner has: its outcome tells.',
    ),
  directives: directives.describe('What the coordinator asks of the runner.'),
});
export type HeartbeatsReply = z.infer<typeof heartbeatsReply>;

const MOST_MESSAGE = 8000;

/** What went wrong. Texts are cleaned, never refused; a value that is not an object becomes the message. */
export const reportedError = z
  .object({
    message: cleanedText(MOST_MESSAGE).describe('What went wrong.'),
    code: cleanedText(200).optional().describe('A short, stable word for the kind of error, such as `ECONNREFUSED`.'),
    stack: cleanedText(16_000).optional().describe('The stack trace.'),
    retryable: z
      .boolean()
      .catch(true)
      .default(true)
      .describe('If false, the job fails for good, whatever attempts are left.'),
    retryAfterMs: durationMs(0, 30 * 86_400_000)
      .optional()
      .catch(undefined)
      .describe("How long to wait before the next attempt, in milliseconds, instead of the job's own backoff."),
  })
  .catch(({ value }) => ({ message: cleanText(value, MOST_MESSAGE), retryable: true }));
export type ReportedError = z.infer<typeof reportedError>;

const figure = z.number().min(0).max(1e15).nullable().catch(null).default(null);
/** Entries that are not numbers with a valid name are ignored, and so are those beyond the first 50. */
const customMetrics = z
  .record(z.string(), z.unknown())
  .transform((given) => {
    const figures = Object.entries(given).filter(
      (pair): pair is [string, number] => /^[A-Za-z0-9_][\w.:/-]{0,99}$/.test(pair[0]) && typeof pair[1] === 'number',
    );
    return Object.fromEntries(figures.filter(([name]) => name !== 'constructor').slice(0, 50));
  })
  .optional()
  .catch(undefined);
export const reportedMetrics = z.object({
  durationMs: figure.describe('How long the handler ran, in milliseconds; null: not measured.'),
  cpuMs: figure.describe('Processor time that the handler used, in milliseconds; null: not measured.'),
  memoryPeakBytes: figure.describe('Largest amount of memory in use, in bytes; null: not measured.'),
  cost: figure.describe(
    "Cost of the attempt, in a unit of your own; null: computed from the queue's prices, if it has any.",
  ),
  custom: customMetrics.describe('Figures of your own, by name, at most 50, such as rows imported.'),
});

const report = {
  leaseToken: leaseToken.describe('The lease token from the claim.'),
  outcome: attemptOutcome.extract(['completed', 'failed']).describe('Whether the attempt succeeded.'),
  result: z
    .custom<Json>()
    .optional()
    .describe('The result of the job, any JSON value. Ignored unless `outcome` is `completed`.'),
  error: reportedError.optional().describe('What went wrong, if `outcome` is `failed`.'),
  metrics: reportedMetrics.optional().catch(undefined).describe('What the attempt used.'),
  progress: sentProgress.optional().catch(undefined).describe('The last progress, if no heartbeat has brought it.'),
  logs: sentLogLines.optional().describe('The last log lines of the attempt, at most 1,000 in one call.'),
};
export const complete = z.object(report).superRefine(checkResult);
export type Complete = z.infer<typeof complete>;
export type CompleteInput = z.input<typeof complete>;
export const completeReply = z.object({
  status: jobStatus.describe('Status of the job after the report.'),
  attempt: z.int().describe('Number of the attempt that was reported.'),
  runAt: timestamp.optional().describe('When the job is tried again; absent: it is not.'),
});
export type CompleteReply = z.infer<typeof completeReply>;

export const completions = z.object({
  completions: z
    .array(z.unknown())
    .max(1000)
    .describe('One report for each attempt. Each is judged alone: an invalid one does not affect the others.'),
  claim: claim
    .optional()
    .describe(
      'ClaimPoller the next jobs in the same call. It never waits: the reports are acknowledged without delay.',
    ),
});
export const completion = z.object({ jobId: id.describe('Id of the job.'), ...report }).superRefine(checkResult);
export type CompletionsInput = { completions: z.input<typeof completion>[]; claim?: ClaimInput };
export const acceptedReport = z.object({ jobId: id.describe(sentJobId), ...completeReply.shape });
export const completionsReply = z.object({
  results: z
    .array(z.union([acceptedReport, refusedItem]))
    .describe('The outcome for each report, in the order of the request.'),
  jobs: z.array(claimedJob).optional().describe('The jobs that `claim` returned; absent if there was no `claim`.'),
  directives: directives.describe('What the coordinator asks of the runner.'),
});
export type CompletionsReply = z.infer<typeof completionsReply>;

export const release = z.object({
  leaseToken: leaseToken.describe('The lease token from the claim.'),
  delayMs: durationMs(0, 30 * 86_400_000)
    .default(0)
    .describe('How long the job waits before it may be claimed again, in milliseconds.'),
  checkpoint: payload
    .optional()
    .describe('Small JSON value that the next attempt receives. It replaces the previous checkpoint.'),
  until: z
    .union([
      z.object({ workflowId: id.describe('Id of a workflow.') }),
      z.object({ batchId: id.describe('Id of a batch.') }),
    ])
    .optional()
    .describe(
      'Waits for the end of a workflow or batch, however it ends: the job is `blocked` until then, and takes no slot. One that has ended, or is not there, is not waited for. Not one that the job itself belongs to.',
    ),
  logs: sentLogLines.optional().describe('The last log lines of the attempt, at most 1,000 in one call.'),
});
export type Release = z.infer<typeof release>;
export const releaseReply = z.object({
  status: jobStatus.describe('Status of the job after the release.'),
  attempt: z.int().describe('Number of the attempt that was released. It is not counted as a failure.'),
  runAt: timestamp.describe('When the job may be claimed again.'),
});
export type ReleaseReply = z.infer<typeof releaseReply>;

/** Stored with an attempt whose report came too late. */
export const lateResult = z.object({
  outcome: attemptOutcome.describe('The outcome that the runner reported.'),
  result: z.unknown().describe('The result that the runner reported; null: none.'),
  error: z.unknown().describe('The error that the runner reported; null: none.'),
  at: timestamp.describe('When the report arrived.'),
});

/**
 * A result must pass payload validation. With a failure it is ignored, because it must not keep the failure from being
 * reported.
 */
function checkResult(
  { outcome, result }: { outcome: string; result?: Json | undefined },
  context: z.RefinementCtx,
): void {
  const fault = outcome === 'completed' && result !== undefined ? payloadFault(result) : null;
  if (fault !== null) context.addIssue({ code: 'custom', path: ['result', ...fault.path], message: fault.message });
}
