import { onAbort } from './abort';

export interface Backoff {
  baseMs: number;
  maxMs: number;
}

export const DEFAULT_BACKOFF: Backoff = { baseMs: 100, maxMs: 10_000 };

/**
 * How long to wait after the `failures`th failure in a row, in milliseconds: a random time from 0 to `baseMs` doubled
 * each time, at most `maxMs`. Full jitter, so that a thousand runners do not come back in step.
 */
export function backoffMs(
  failures: number,
  { baseMs, maxMs }: Backoff = DEFAULT_BACKOFF,
  random: () => number = Math.random,
): number {
  return random() * Math.min(maxMs, baseMs * 2 ** Math.max(0, failures - 1));
}

/** A proxy, or a wrong clock, may ask for days, and a runner that waits so long would seem to hang. */
const LONGEST_RETRY_AFTER_MS = 300_000;

/**
 * As `backoffMs`, but never before `retryAfterMs` if the server asked for it, up to 5 minutes; the jitter is then added
 * to it.
 */
export function retryDelayMs(
  failures: number,
  retryAfterMs: number | null,
  backoff?: Backoff,
  random?: () => number,
): number {
  return Math.min(retryAfterMs ?? 0, LONGEST_RETRY_AFTER_MS) + backoffMs(failures, backoff, random);
}

/** A timer with a longer delay fires at once. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

/** Waits; rejects with the signal's reason as soon as it is aborted. */
export function pause(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason);
    const timer = setTimeout(
      () => {
        ignore?.();
        resolve();
      },
      Math.min(ms, LONGEST_TIMER_MS),
    );
    const ignore =
      signal &&
      onAbort(signal, () => {
        clearTimeout(timer);
        reject(signal.reason);
      });
  });
}

/** The promise's value, or `undefined` when it takes longer than `ms`. */
export async function within<T>(ms: number, promise: Promise<T>): Promise<T | undefined> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<undefined>((resolve) => {
    timer = setTimeout(() => resolve(undefined), Math.min(ms, LONGEST_TIMER_MS));
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
