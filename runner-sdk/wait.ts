import { backoffMs, pause } from './backoff';
import { monotonicMs } from './clock';
import type { JobDefinition } from './define-job';
import { BatonError, JobCancelledError, JobFailedError } from './errors';
import type { Transport } from './http';
import type { Job } from './protocol';
import { check, type Schema } from './schema';

export interface WaitOptions<Result extends Schema = Schema> {
  /** How long to wait for the job to finish. Default: as long as it takes. */
  timeoutMs?: number | undefined;
  signal?: AbortSignal | undefined;
  /** Checks and types the result; needed only where `wait` gets an id, or a job that `create` did not return. */
  definition?: JobDefinition<Schema, Result> | undefined;
}

const POLL_MS = 25_000;
const SLACK_MS = 10_000;
const QUICK_MS = 500;

/** Asks by long polls until the job has finished. */
export async function waitForResult(
  transport: Transport,
  id: string,
  options: WaitOptions,
  budgetMs: number,
): Promise<unknown> {
  const endsAtMs = monotonicMs() + (options.timeoutMs ?? Infinity);
  for (let quickAnswers = 0; ;) {
    const sentAtMs = monotonicMs();
    const leftMs = Math.max(0, endsAtMs - sentAtMs);
    const job = await poll(transport, id, Math.min(POLL_MS, leftMs), Math.min(budgetMs, leftMs), options.signal);
    if (job.status === 'completed') return checkedResult(job, options.definition);
    if (job.status === 'failed') throw new JobFailedError(job);
    if (job.status === 'cancelled') throw new JobCancelledError(job);
    if (monotonicMs() >= endsAtMs) {
      throw new BatonError({
        code: 'wait_timeout',
        status: 0,
        detail: `job ${id} has not finished within ${options.timeoutMs} ms; it is ${job.status}`,
      });
    }
    // A coordinator that is stopping answers at once: do not hammer the next one.
    quickAnswers = monotonicMs() - sentAtMs < QUICK_MS ? quickAnswers + 1 : 0;
    if (quickAnswers > 0) await pause(Math.min(backoffMs(quickAnswers), leftMs), options.signal);
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

async function checkedResult(job: Job, definition: JobDefinition | undefined): Promise<unknown> {
  if (definition?.result === undefined) return job.result;
  const checked = await check(definition.result, job.result);
  if (checked.isValid) return checked.value;
  throw new BatonError({
    code: 'invalid_result',
    status: 0,
    detail: `the result of job ${job.id} does not fit ${definition.type}`,
    errors: checked.errors,
  });
}
