import { setTimeout as pause } from 'node:timers/promises';

const LOOK_EVERY_MS = 10;

/**
 * Reads until what was read is as wanted, and returns it.
 * @throws {Error} with what was read last, when that does not happen within `deadlineMs`
 */
export async function eventually<T>(
  read: () => Promise<T> | T,
  isWanted: (value: T) => boolean = Boolean,
  deadlineMs = 10_000,
): Promise<T> {
  const until = performance.now() + deadlineMs;
  for (;;) {
    const value = await read();
    if (isWanted(value)) return value;
    if (performance.now() > until)
      throw new Error(`not as wanted after ${deadlineMs} ms; last seen: ${JSON.stringify(value)}`);
    await pause(LOOK_EVERY_MS);
  }
}
