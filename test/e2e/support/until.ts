import { setTimeout as sleep } from 'node:timers/promises';

/** Asks again until the answer is neither false, null nor undefined. An error counts as no. */
export async function until<T>(what: string, ask: () => T | Promise<T>, timeoutMs = 30_000): Promise<NonNullable<T>> {
  const deadline = performance.now() + timeoutMs;
  for (let fault: unknown; ;) {
    try {
      const answer = await ask();
      if (answer !== false && answer !== null && answer !== undefined) return answer;
    } catch (error) {
      fault = error;
    }
    if (performance.now() > deadline) throw new Error(`Not within ${timeoutMs} ms: ${what}`, { cause: fault });
    await sleep(10);
  }
}
