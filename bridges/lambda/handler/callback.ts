import { setTimeout as pause } from 'node:timers/promises';
import type { LambdaJob, LambdaJobHandler } from './job';

/** The event of a function that the bridge invoked in mode `callback`. */
export interface CallbackEvent {
  baton: {
    jobId: string;
    type: string;
    attempt: number;
    maxAttempts: number;
    userId: string | null;
    tags: string[];
    metadata: Record<string, unknown> | null;
    lastCheckpoint: unknown;
    timeRemainingMs: number;
    callbackUrl: string;
  };
  arguments: unknown;
}

const REPORT_MS = 2000;
const MOST_TRIES = 6;
const FIRST_WAIT_MS = 200;

/** Runs the handler and sends its outcome to the bridge, which waits for it. */
export async function runForCallback(
  { baton, arguments: args }: CallbackEvent,
  handler: LambdaJobHandler,
  remainingMs: () => number,
): Promise<void> {
  const aborting = new AbortController();
  const endsAtMs = performance.now() + Math.min(baton.timeRemainingMs, Math.max(1, remainingMs() - REPORT_MS));
  const timer = setTimeout(() => aborting.abort(new Error('the time is over')), endsAtMs - performance.now());
  const job: LambdaJob = {
    ...{ id: baton.jobId, type: baton.type, attempt: baton.attempt, maxAttempts: baton.maxAttempts, tags: baton.tags },
    ...{ metadata: baton.metadata, userId: baton.userId, dependencies: {}, lastCheckpoint: baton.lastCheckpoint },
    signal: aborting.signal,
    timeRemainingMs: () => Math.max(0, endsAtMs - performance.now()),
    progress: (percent, message) =>
      void post(baton.callbackUrl, { progress: { percent, ...(message !== undefined && { message }) } }).catch(
        () => undefined,
      ),
    checkpoint: () => Promise.reject(new Error('a function that calls back has no checkpoints')),
  };
  let outcome: object;
  try {
    const result: unknown = await handler(args as never, job);
    outcome = { result: result ?? null };
  } catch (thrown) {
    const error = thrown as Error & { code?: unknown; retryAfterMs?: unknown };
    outcome = {
      error: {
        ...{ message: error.message, retryable: error.name !== 'NonRetryableError' },
        code: typeof error.code === 'string' ? error.code : error.name,
        ...(typeof error.retryAfterMs === 'number' && { retryAfterMs: error.retryAfterMs }),
      },
    };
  } finally {
    clearTimeout(timer);
  }
  await send(baton.callbackUrl, outcome);
}

/** Resolves also when nobody waits for it any more: the job went on without this attempt. */
async function send(url: string, outcome: object): Promise<void> {
  for (let tries = 1; ; tries += 1) {
    const answer = await post(url, outcome).catch((error: unknown) => error as Error);
    if (!(answer instanceof Error) && answer.status < 500) return;
    if (tries === MOST_TRIES)
      throw answer instanceof Error ? answer : new Error(`the bridge answered ${answer.status}`);
    await pause(FIRST_WAIT_MS * 2 ** (tries - 1));
  }
}

function post(url: string, body: object): Promise<Response> {
  return fetch(url, {
    ...{ method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) },
    signal: AbortSignal.timeout(10_000),
  });
}
