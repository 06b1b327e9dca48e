import type { Db } from '../store/db';
import { countWaiting } from '../store/limits';

/** How long a count is used: it does not contain what other coordinators create meanwhile. */
const MOST_AGE_MS = 1000;
/** Counting takes at most this fraction of the time: 1 / SHARE. */
const SHARE = 20;

interface Known {
  count: number;
  at: number;
  tookMs: number;
}

/**
 * Number of waiting jobs in queues with a limit: counted from rows, plus what is created here. Creates under way are in
 * no row yet, so they are added until they are settled. With several coordinators a queue may exceed its limit by what
 * they create within a second.
 */
export class WaitingCounts {
  private readonly known = new Map<string, Known>();
  private readonly counting = new Map<string, Promise<Known>>();
  /** Reserved but not settled yet. */
  private readonly underWay = new Map<string, number>();
  /** Reserved while the queue is counted, which the count may have missed. */
  private readonly sinceAsked = new Map<string, number>();

  constructor(private readonly db: Db) {}

  /** Reserves room for up to `wanted` jobs. Returns how many were granted, which must be settled. */
  async reserve(queue: string, max: number, wanted: number): Promise<number> {
    let known = this.known.get(queue);
    if (known === undefined || isOld(known) || (known.count + wanted > max && mayBeCounted(known)))
      known = await this.count(queue, max);
    const granted = Math.min(wanted, Math.max(0, max - known.count));
    if (granted === 0) return 0;
    known.count += granted;
    add(this.underWay, queue, granted);
    if (this.counting.has(queue)) add(this.sinceAsked, queue, granted);
    return granted;
  }

  /** Ends a reservation: `waiting` of the jobs now wait, and the rest of the room is returned. */
  settle(queue: string, reserved: number, waiting: number): void {
    add(this.underWay, queue, -reserved);
    const known = this.known.get(queue);
    if (known !== undefined) known.count = Math.max(0, known.count - reserved + waiting);
  }

  /** Callers that ask during a count share it. */
  private count(queue: string, max: number): Promise<Known> {
    const asked = this.counting.get(queue);
    if (asked !== undefined) return asked;
    const counted = this.read(queue, max).finally(() => {
      this.counting.delete(queue);
      this.sinceAsked.delete(queue);
    });
    this.counting.set(queue, counted);
    return counted;
  }

  private async read(queue: string, max: number): Promise<Known> {
    const from = performance.now();
    const underWay = this.underWay.get(queue) ?? 0;
    const rows = await countWaiting(this.db, queue, max);
    const at = performance.now();
    // A create that was stored meanwhile counts twice until the next count, which refuses too much rather than too
    // little.
    const known = { count: rows + underWay + (this.sinceAsked.get(queue) ?? 0), at, tookMs: at - from };
    this.known.set(queue, known);
    return known;
  }
}

function add(counts: Map<string, number>, queue: string, count: number): void {
  const sum = (counts.get(queue) ?? 0) + count;
  if (sum === 0) counts.delete(queue);
  else counts.set(queue, sum);
}

function isOld({ at, tookMs }: Known): boolean {
  return performance.now() - at > Math.max(MOST_AGE_MS, tookMs * SHARE);
}

/** A small queue is counted again before anything is refused; a large one is not counted on every call. */
function mayBeCounted({ at, tookMs }: Known): boolean {
  return tookMs < 5 || performance.now() - at > tookMs * SHARE;
}
