import type { Db } from '../store/db';
import { countWaiting } from '../store/limits';

/** How long a count is good by itself: what other coordinators create meanwhile is not in it. */
const MOST_AGE_MS = 1000;
/** Counting takes at most one part in so many of the time. */
const SHARE = 20;

interface Known {
  count: number;
  at: number;
  tookMs: number;
}

/**
 * How many jobs wait in queues that limit it: counted from rows, and what is created here added until the next count. Over
 * several coordinators a queue may get over its limit by what they create within a second.
 */
export class WaitingCounts {
  private readonly known = new Map<string, Known>();
  private readonly counting = new Map<string, Promise<Known>>();

  constructor(private readonly db: Db) {}

  /** Takes room for so many jobs, as far as there is any. Returns how many there is room for. */
  async reserve(queue: string, max: number, wanted: number): Promise<number> {
    let known = this.known.get(queue);
    if (known === undefined || isOld(known) || (known.count + wanted > max && mayBeCounted(known)))
      known = await this.count(queue, max);
    const granted = Math.min(wanted, Math.max(0, max - known.count));
    known.count += granted;
    return granted;
  }

  /** Gives room back that was not used after all. */
  release(queue: string, count: number): void {
    const known = this.known.get(queue);
    if (known !== undefined) known.count = Math.max(0, known.count - count);
  }

  /** Those who ask while it is counted wait for the same count. */
  private count(queue: string, max: number): Promise<Known> {
    const underWay = this.counting.get(queue);
    if (underWay !== undefined) return underWay;
    const counted = this.read(queue, max).finally(() => this.counting.delete(queue));
    this.counting.set(queue, counted);
    return counted;
  }

  private async read(queue: string, max: number): Promise<Known> {
    const from = performance.now();
    const count = await countWaiting(this.db, queue, max);
    const at = performance.now();
    const known = { count, at, tookMs: at - from };
    this.known.set(queue, known);
    return known;
  }
}

function isOld({ at, tookMs }: Known): boolean {
  return performance.now() - at > Math.max(MOST_AGE_MS, tookMs * SHARE);
}

/** A small queue is counted again before anything is refused; a large one not with every call. */
function mayBeCounted({ at, tookMs }: Known): boolean {
  return tookMs < 5 || performance.now() - at > tookMs * SHARE;
}
