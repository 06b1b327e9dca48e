import { monotonicMs } from './clock';
import { NonRetryableError } from './errors';
import { loggable, storable } from './json';
import type { TimedLine } from './log-buffer';
import type { ClaimedJob, Json, LogLevel } from './protocol';

/** What a handler is given beside its arguments. Its functions may be taken out and passed around. */
export interface JobContext {
  readonly id: string;
  readonly type: string;
  readonly queue: string;
  /** Counts claims, from 1. With `id` it names this attempt, also to other services. */
  readonly attempt: number;
  readonly maxAttempts: number;
  readonly tags: readonly string[];
  readonly metadata: Readonly<Record<string, unknown>> | null;
  readonly userId: string | null;
  /** Status and result of the jobs this one waited for, by key or id. */
  readonly dependencies: ClaimedJob['dependencies'];
  /** What a former attempt last passed to `checkpoint`, or `null`. */
  readonly lastCheckpoint: unknown;
  /** Aborted at the timeout, on cancel, when the lease is lost and when the runner stops; `reason` says which. */
  readonly signal: AbortSignal;
  /** 0 to 100. Costs next to nothing: only the latest is sent. */
  readonly progress: (percent: number, message?: string) => void;
  readonly log: Readonly<Record<LogLevel, (message: string, fields?: Record<string, unknown>) => void>>;
  /** Small JSON (256 KiB at most) that the next attempt finds in `lastCheckpoint`. Throws when it is not JSON. */
  readonly checkpoint: (value: unknown) => void;
  /** The W3C trace context of the job's create, or `null`; with OpenTelemetry the handler runs within that trace. */
  readonly traceparent: string | null;
  /** How long until the signal is aborted with `AttemptTimeoutError`, in milliseconds; never below 0. */
  readonly timeRemainingMs: () => number;
}

export type Said = { kind: 'progress'; percent: number; message?: string } | { kind: 'checkpoint'; value: Json } | { kind: 'log'; line: TimedLine };

/** Whose handler it is: what it says goes there, and its time and signal come from there. */
export interface Voice {
  readonly signal: AbortSignal;
  readonly remainingMs: number;
  say: (said: Said) => void;
}

const CHECKPOINT_LENGTH = 256 * 1024;

/**
 * The context of one attempt. What costs something is made when the handler takes it: most take little, and a runner runs
 * thousands of them a second.
 */
export function contextOf(job: ClaimedJob, voice: Voice): JobContext {
  return {
    id: job.id,
    type: job.type,
    queue: job.queue,
    attempt: job.attempt,
    maxAttempts: job.maxAttempts,
    tags: job.tags,
    metadata: job.metadata,
    userId: job.userId,
    dependencies: job.dependencies,
    lastCheckpoint: job.checkpoint ?? null,
    traceparent: job.traceparent ?? null,
    get signal() {
      return voice.signal;
    },
    get log() {
      const log = (level: LogLevel) => (message: string, fields?: Record<string, unknown>) => writeLog(voice, level, message, fields);
      return { debug: log('debug'), info: log('info'), warn: log('warn'), error: log('error') };
    },
    progress: (percent, message) => voice.say({ kind: 'progress', percent: percentOf(percent), ...(message !== undefined && { message: String(message).slice(0, 1000) }) }),
    checkpoint: (value) => writeCheckpoint(voice, value),
    timeRemainingMs: () => voice.remainingMs,
  };
}

function writeLog(voice: Voice, level: LogLevel, message: string, fields?: Record<string, unknown>): void {
  const json = loggable(fields);
  voice.say({ kind: 'log', line: { level, message: String(message), atMs: monotonicMs(), ...(json !== undefined && { fields: json }) } });
}

function writeCheckpoint(voice: Voice, value: unknown): void {
  const stored = storable(value);
  if (!stored.isStorable || stored.json === undefined) {
    throw new NonRetryableError(`the checkpoint cannot be stored: ${stored.isStorable ? 'undefined is not JSON' : stored.detail}`, { code: 'invalid_checkpoint' });
  }
  if (stored.length > CHECKPOINT_LENGTH) {
    throw new NonRetryableError(`the checkpoint has ${stored.length} characters of JSON, over ${CHECKPOINT_LENGTH}; store a place to continue from, not the work`, {
      code: 'invalid_checkpoint',
    });
  }
  voice.say({ kind: 'checkpoint', value: stored.json });
}

function percentOf(percent: number): number {
  return Number.isFinite(percent) ? Math.min(100, Math.max(0, percent)) : 0;
}
