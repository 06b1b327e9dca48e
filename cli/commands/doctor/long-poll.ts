import { randomUUID } from 'node:crypto';
import { durationText } from '../../terminal/time';
import { type Finding, ok, problem, skipped } from './finding';

const CHECK = 'long poll';
/** A job type that nobody has, so that nothing is claimed. */
const TYPE = 'baton.doctor';

/**
 * Waits as a runner does, and measures whether something in between ends the call first. It is a runner for that time,
 * and says goodbye.
 * @param waitMs the coordinator answers after 45 s at the latest
 */
export async function checkLongPoll(
  { url, key }: { url: string; key: string },
  waitMs: number,
  signal: AbortSignal,
): Promise<Finding> {
  const runnerId = `doctor-${randomUUID()}`;
  const base = url.replace(/\/+$/, '');
  const post = (path: string, body: object) =>
    fetch(base + path, {
      method: 'POST',
      headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
      body: JSON.stringify(body),
      signal,
    });
  const before = performance.now();
  const took = () => durationText(performance.now() - before);
  try {
    const response = await post('/jobs/claim', { runnerId, types: [TYPE], waitMs });
    await response.text();
    if (response.status === 200) return ok(CHECK, `a call may wait for ${took()}`);
    if (response.status === 403) return skipped(CHECK, 'needs a key of role admin or runner');
    return cutOff(`it was answered with HTTP ${response.status} after ${took()}`);
  } catch (error) {
    signal.throwIfAborted();
    const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
    return cutOff(`it was cut off after ${took()}: ${cause instanceof Error ? cause.message : String(cause)}`);
  } finally {
    await post('/jobs/heartbeat', { runnerId, jobs: [], goodbye: true }).catch(() => undefined);
  }
}

function cutOff(what: string): Finding {
  return problem(
    CHECK,
    `a call that waits for a job does not last: ${what}`,
    'Runners wait up to 50 s in one call; what ends it earlier makes them call again and again, and slows pick-up.',
    'Let the proxy in front wait for answers for at least 60 s (nginx: proxy_read_timeout; others: idle timeout).',
  );
}
