import { isUnavailable } from '../store/db';

interface Waiting<Item, Result> {
  items: Item[];
  resolve(results: Result[]): void;
  reject(error: unknown): void;
}

/**
 * Natural batching: calls that arrive in one turn of the event loop, or while a batch is under way, go together. There is
 * no timer, so a lone call is not delayed, and under load one statement and one commit serve many calls.
 *
 * Beside a batch under way another one starts only when it is worth a statement and a commit of its own, because small
 * ones would each take what the next could have taken together; or when the other takes long, as one does that waits for
 * somebody's lock.
 *
 * A batch that fails is tried again call by call, so that no call fails for what another one brought.
 * @param maxBatch most items in one batch; a single call with more goes alone
 * @param fillBeside fewest items in a batch that starts beside another one
 * @param patienceMs how long a smaller one waits for the one under way
 */
export function coalesce<Item, Result>(
  run: (items: Item[]) => Promise<Result[]>,
  {
    maxBatch,
    maxInFlight,
    fillBeside = 50,
    patienceMs = 50,
  }: { maxBatch: number; maxInFlight: number; fillBeside?: number; patienceMs?: number },
): (items: Item[]) => Promise<Result[]> {
  const waiting: Waiting<Item, Result>[] = [];
  let inFlight = 0;
  let itemsWaiting = 0;

  let isSoon = false;
  let impatience: NodeJS.Timeout | undefined;

  /** At the end of this turn: what the other sockets brought in it has been read by then. */
  function nextSoon(): void {
    if (isSoon) return;
    isSoon = true;
    setImmediate(() => {
      isSoon = false;
      next();
    });
  }

  function next(fewest = inFlight === 0 ? 1 : fillBeside): void {
    if (inFlight >= maxInFlight || itemsWaiting === 0) return;
    if (itemsWaiting < fewest) {
      impatience ??= setTimeout(() => {
        impatience = undefined;
        next(1);
      }, patienceMs).unref();
      return;
    }
    clearTimeout(impatience);
    impatience = undefined;
    inFlight += 1;
    const calls = take(waiting, maxBatch);
    for (const call of calls) itemsWaiting -= call.items.length;
    void runBatch(run, calls).finally(() => {
      inFlight -= 1;
      nextSoon();
    });
    // As many start as may: a full batch must not wait for one that waits for somebody's lock.
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
