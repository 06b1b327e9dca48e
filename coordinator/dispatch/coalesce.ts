import { isUnavailable } from '../store/db';

interface Waiting<Item, Result> {
  items: Item[];
  resolve(results: Result[]): void;
  reject(error: unknown): void;
}

/** A statement starts beside another of its kind only with this many items: small statements cost more per item. */
export const FEWEST_BESIDE = 50;
/** How long fewer items wait for the running statement, which may itself be waiting for a lock. */
export const PATIENCE_MS = 50;

/**
 * Natural batching: calls that arrive in one turn of the event loop, or while a batch runs, form the next batch. No
 * timer delays a single call, and under load many calls share one statement and one commit. A second batch starts
 * beside a running one only when it has `fewestBeside` items, or after `patienceMs`.
 *
 * A batch that fails is retried call by call, so that no call fails because of another call's items.
 * @param maxBatch most items in one batch; a single call with more is a batch of its own
 */
export function coalesce<Item, Result>(
  run: (items: Item[]) => Promise<Result[]>,
  {
    maxBatch,
    maxInFlight,
    fewestBeside = FEWEST_BESIDE,
    patienceMs = PATIENCE_MS,
  }: { maxBatch: number; maxInFlight: number; fewestBeside?: number; patienceMs?: number },
): (items: Item[]) => Promise<Result[]> {
  const waiting: Waiting<Item, Result>[] = [];
  let inFlight = 0;
  let itemsWaiting = 0;

  let isSoon = false;
  let patienceTimer: NodeJS.Timeout | undefined;

  /**
   * Starts the next batch at the end of this turn of the event loop, when the requests of all sockets have been read.
   */
  function nextSoon(): void {
    if (isSoon) return;
    isSoon = true;
    setImmediate(() => {
      isSoon = false;
      next();
    });
  }

  function next(fewest = inFlight === 0 ? 1 : fewestBeside): void {
    if (inFlight >= maxInFlight || itemsWaiting === 0) return;
    if (itemsWaiting < fewest) {
      patienceTimer ??= setTimeout(() => {
        patienceTimer = undefined;
        next(1);
      }, patienceMs).unref();
      return;
    }
    clearTimeout(patienceTimer);
    patienceTimer = undefined;
    inFlight += 1;
    const calls = take(waiting, maxBatch);
    for (const call of calls) itemsWaiting -= call.items.length;
    void runBatch(run, calls).finally(() => {
      inFlight -= 1;
      nextSoon();
    });
    // A full batch must not wait for one that is blocked by a lock.
    next();
  }

  return (items) =>
    new Promise((resolve, reject) => {
      waiting.push({ items, resolve, reject });
      itemsWaiting += items.length;
      nextSoon();
    });
}

function take<Item, Result>(waiting: Waiting<Item, Result>[], maxBatch: number): Waiting<Item, Result>[] {
  let count = 0;
  let calls = 0;
  for (const call of waiting) {
    if (calls > 0 && count + call.items.length > maxBatch) break;
    count += call.items.length;
    calls += 1;
  }
  return waiting.splice(0, calls);
}

async function runBatch<Item, Result>(
  run: (items: Item[]) => Promise<Result[]>,
  calls: Waiting<Item, Result>[],
): Promise<void> {
  try {
    const results = await run(calls.flatMap((call) => call.items));
    let from = 0;
    for (const call of calls) call.resolve(results.slice(from, (from += call.items.length)));
  } catch (error) {
    if (calls.length === 1 || isUnavailable(error)) {
      for (const call of calls) call.reject(error);
      return;
    }
    for (const call of calls) await runBatch(run, [call]);
  }
}
