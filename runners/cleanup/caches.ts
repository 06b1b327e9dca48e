import { type JobContext, NonRetryableError, RetryAfterError } from '@baton/runner-sdk';
import { retryAfterMs } from '@baton/runner-kit';
import { request } from 'undici';
import type { CacheTask } from './jobs';
import type { Cache } from './settings';
import { Tally } from './tally';

const TIMEOUT_MS = 30_000;

/**
 * Purges keys from a cache. A key that the cache does not have counts as purged.
 * @throws {NonRetryableError} `cleanup_unknown`, `cleanup_refused`
 */
export async function purge(
  task: CacheTask,
  caches: ReadonlyMap<string, Cache>,
  job: JobContext,
  isDryRun: boolean,
): Promise<Tally> {
  const cache = caches.get(task.cache);
  if (cache === undefined)
    throw new NonRetryableError(
      `this runner has no cache ${task.cache}; it has ${[...caches.keys()].join(', ') || 'none'}`,
      {
        code: 'cleanup_unknown',
      },
    );
  const tally = new Tally('cache');
  for (const key of task.keys) {
    const url = urlOf(cache, key);
    if (!isDryRun) await purgeOne(cache, url, task, job);
    tally.add(key);
  }
  return tally;
}

async function purgeOne({ method, headers }: Cache, url: string, { cache }: CacheTask, job: JobContext): Promise<void> {
  const answer = await request(url, {
    ...{ method, headers },
    signal: AbortSignal.any([job.signal, AbortSignal.timeout(TIMEOUT_MS)]),
  });
  await answer.body.dump();
  const { statusCode: status } = answer;
  if ((status >= 200 && status < 300) || status === 404 || status === 410) return;
  const text = `the cache ${cache} answered ${status}`;
  if (status >= 500 || status === 429) {
    const waitMs = retryAfterMs(answer.headers);
    throw waitMs === null ? new Error(text) : new RetryAfterError(waitMs, text);
  }
  throw new NonRetryableError(text, { code: 'cleanup_refused' });
}

function urlOf({ url }: Cache, key: string): string {
  if (url.includes('{key}')) return url.replaceAll('{key}', encodeURIComponent(key));
  const base = url.slice(0, -'{path}'.length);
  const whole = key.startsWith('/') && URL.canParse(base + key) ? new URL(base + key) : null;
  if (whole?.href.startsWith(new URL(base).href.replace(/\/$/, '')) === true) return whole.href;
  throw new NonRetryableError(
    `${JSON.stringify(key)} is no path below the cache; it must begin with / and hold no ..`,
    {
      code: 'invalid_arguments',
    },
  );
}
