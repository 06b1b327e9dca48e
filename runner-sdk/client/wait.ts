import { onAbort } from '../transport/abort';
import { backoffMs, pause } from '../transport/backoff';
import { monotonicMs } from '../transport/clock';
import type { JobDefinition } from './define-job';
import { BatonError, JobCancelledError, JobFailedError } from '../transport/errors';
import { followEvents } from './follow';
import type { Objects } from '../transport/objects';
import type { Transport } from '../transport/transport';
import type { Explanation, Job } from '../protocol';
import { check, type Schema } from './schema';

export interface WaitOptions<Result extends Schema = Schema> {
  /** How long to wait for the job to finish, in milliseconds. Default: no limit. */
  timeoutMs?: number | undefined;
  signal?: AbortSignal | undefined;
  /** Called on progress of the job; what it throws, or rejects with, ends the wait. */
  onProgress?: ((progress: { percent: number; message: string | null }) => unknown) | undefined;
  /** Checks and types the result; needed only if `wait` gets an id, or a job that `create` did not return. */
  definition?: JobDefinition<Schema, Result> | undefined;
}

const POLL_MS = 25_000;
const SLACK_MS = 10_000;
const QUICK_MS = 500;
/** How long connecting the progress stream may be retried, before the wait continues without it. */
const STREAM_BUDGET_MS = 30_000;

/** How long a wait that has timed out may ask for the reason. */
const EXPLAIN_MS = 2000;

/** Polls with long polls until the job has finished. */
export async function waitForResult(
  transport: Transport,
  id: string,
  options: WaitOptions,
  budgetMs: number,
  objects: Objects,
): Promise<unknown> {
  const job = await waitForEnd(transport, id, options, budgetMs);
  const result = await objects.read(job.result, options.signal);
  return checkedResult(job, result, options.definition);
}

async function waitForEnd(transport: Transport, id: string, options: WaitOptions, budgetMs: number): Promise<Job> {
  if (options.onProgress === undefined) return waitQuietly(transport, id, options, budgetMs);
  const told = new AbortController();
  const ignore = options.signal && onAbort(options.signal, () => told.abort(options.signal?.reason));
  const progress = new ProgressReader(transport, id, options.onProgress, told);
  try {
    return await waitQuietly(transport, id, { ...options, signal: told.signal }, budgetMs, (job) => progress.tell(job));
  } finally {
    ignore?.();
    await progress.stop();
  }
}

async function waitQuietly(
  transport: Transport,
  id: string,
  options: WaitOptions,
  budgetMs: number,
  onAnswer?: (job: Job) => void,
): Promise<Job> {
  const endsAtMs = monotonicMs() + (options.timeoutMs ?? Infinity);
  for (let quickAnswers = 0; ;) {
    const sentAtMs = monotonicMs();
    const leftMs = Math.max(0, endsAtMs - sentAtMs);
    const job = await poll(transport, id, Math.min(POLL_MS, leftMs), Math.min(budgetMs, leftMs), options.signal);
    onAnswer?.(job);
    options.signal?.throwIfAborted();
    if (job.status === 'completed') return job;
    if (job.status === 'failed') throw new JobFailedError(job);
    if (job.status === 'cancelled') throw new JobCancelledError(job);
    if (monotonicMs() >= endsAtMs) {
      const why = await explanation(transport, id, options.signal);
      throw new BatonError({
        code: 'wait_timeout',
        status: 0,
        detail: `job ${id} has not finished within ${options.timeoutMs} ms; it is ${job.status}${why}`,
      });
    }
    // A coordinator that is stopping answers at once; the next one must not be polled in a tight loop.
    quickAnswers = monotonicMs() - sentAtMs < QUICK_MS ? quickAnswers + 1 : 0;
    if (quickAnswers > 0) await pause(Math.min(backoffMs(quickAnswers), leftMs), options.signal);
  }
}

/** Why it has not finished, if that can be found out quickly. */
async function explanation(transport: Transport, id: string, signal: AbortSignal | undefined): Promise<string> {
  const request = { method: 'GET', path: `/jobs/${encodeURIComponent(id)}/explain` } as const;
  try {
    const limits = { timeoutMs: EXPLAIN_MS, budgetMs: 0, ...(signal && { signal }) };
    const { reasons } = (await transport.call<Explanation>({ ...request, ...limits })).body;
    return reasons.length === 0 ? '' : `: ${reasons.map(({ message }) => message).join(' ')}`;
  } catch {
    signal?.throwIfAborted();
    return '';
  }
}

/** Reports a job's progress during a wait. The wait does not depend on this stream. */
class ProgressReader {
  private last = '';
  private readonly events;
  private readonly reading: Promise<void>;

  constructor(
    transport: Transport,
    id: string,
    private readonly onProgress: NonNullable<WaitOptions['onProgress']>,
    private readonly control: AbortController,
  ) {
    const path = `/jobs/${encodeURIComponent(id)}/events`;
    this.events = followEvents({ transport, request: { path }, budgetMs: STREAM_BUDGET_MS }, {});
    this.reading = this.read().catch(() => undefined);
  }

  /** Reports progress once; repeated values are ignored. */
  tell({ progress }: Pick<Job, 'progress'>): void {
    if (progress !== null && progress !== undefined) this.pass(progress.percent, progress.message);
  }

  async stop(): Promise<void> {
    await this.events.return();
    await this.reading;
  }

  private async read(): Promise<void> {
    for await (const { name, details } of this.events) {
      if (name !== 'job.progress' || details === null) continue;
      const { percent, message } = details;
      if (typeof percent === 'number') this.pass(percent, typeof message === 'string' ? message : null);
    }
  }

  private pass(percent: number, message: string | null): void {
    const text = JSON.stringify([percent, message]);
    if (text === this.last || this.control.signal.aborted) return;
    this.last = text;
    void this.call({ percent, message });
  }

  /** Never rejects. */
  private async call(progress: { percent: number; message: string | null }): Promise<void> {
    try {
      await this.onProgress(progress);
    } catch (error) {
      this.control.abort(error);
    }
  }
}

async function poll(
  transport: Transport,
  id: string,
  waitMs: number,
  budgetMs: number,
  signal?: AbortSignal,
): Promise<Job> {
  const path = `/jobs/${encodeURIComponent(id)}/wait`;
  const reply = await transport.call<Job>({
    method: 'GET',
    path,
    query: { waitMs: Math.round(waitMs) },
    timeoutMs: waitMs + SLACK_MS,
    budgetMs,
    waits: true,
    ...(signal && { signal }),
  });
  return reply.body;
}

async function checkedResult(job: Job, result: unknown, definition: JobDefinition | undefined): Promise<unknown> {
  if (definition?.result === undefined) return result;
  const checked = await check(definition.result, result);
  if (checked.isValid) return checked.value;
  throw new BatonError({
    code: 'invalid_result',
    status: 0,
    detail: `the result of job ${job.id} does not fit ${definition.type}`,
    errors: checked.errors,
  });
}
