/** Waits are sorted into parts of this length by when they end. */
const PART_MS = 100;

/**
 * Waits that end together. Polls that end one by one wake an idle process as often, which 5,000
 * of them paid for with a third of their time (decision 0024). So a wait ends up to one period early (and a
 * part), and no later than its rounds are, with all others that would end before the next one.
 */
export class SharedTimeouts<Waiter> {
  private readonly parts = new Map<number, Set<Waiter>>();

  /** @param periodMs how far apart the rounds are in which `over` is called */
  constructor(private readonly periodMs: number) {}

  /** @returns where it waits, to be taken out of when it waits no more */
  add(waiter: Waiter, waitMs: number): Set<Waiter> {
    const part = partAt(performance.now() + waitMs);
    let waiters = this.parts.get(part);
    if (waiters === undefined) this.parts.set(part, (waiters = new Set()));
    return waiters.add(waiter);
  }

  /** Those whose wait would end before the next round, or within the part that it falls into. */
  over(): Waiter[] {
    const last = partAt(performance.now() + this.periodMs);
    const over: Waiter[] = [];
    for (const [part, waiters] of this.parts) {
      if (part > last) continue;
      for (const waiter of waiters) over.push(waiter);
      this.parts.delete(part);
    }
    return over;
  }
}

function partAt(ms: number): number {
  return Math.floor(ms / PART_MS);
}
