/** How long divisible work may block the event loop before it yields. */
const TURN_MS = 8;

/** Divides work: between its parts the event loop turns once the work has run for long enough. */
export class Turns {
  private endsAt = performance.now() + TURN_MS;

  get isOver(): boolean {
    return performance.now() >= this.endsAt;
  }

  /** Resolves at once while the turn lasts; otherwise after a turn of the event loop. */
  async next(): Promise<void> {
    if (!this.isOver) return;
    await new Promise<void>((resolve) => setImmediate(resolve));
    this.endsAt = performance.now() + TURN_MS;
  }
}

/** Most bytes in one statement: serialising and sending them takes a few milliseconds. */
export const MOST_STATEMENT_BYTES = 2 * 1024 * 1024;

/** The items in order, in slices of at most `most` bytes, but at least one item. */
export function* slices<Item>(
  items: readonly Item[],
  bytesOf: (item: Item, index: number) => number,
  most = MOST_STATEMENT_BYTES,
): Generator<Item[]> {
  let slice: Item[] = [];
  let bytes = 0;
  for (const [index, item] of items.entries()) {
    const own = bytesOf(item, index);
    if (slice.length > 0 && bytes + own > most) {
      yield slice;
      [slice, bytes] = [[], 0];
    }
    slice.push(item);
    bytes += own;
  }
  if (slice.length > 0) yield slice;
}

/**
 * Runs `run` on slices of the items; it must handle each item on its own. A failing slice ends the call, so `run` must
 * be repeatable.
 */
export async function runInSlices<Item, Result>(
  items: Item[],
  run: (items: Item[]) => Promise<Result[]>,
): Promise<Result[]> {
  const bytes = await mapInTurns(items, approximateBytes);
  const results: Result[] = [];
  for (const slice of slices(items, (_item, index) => bytes[index] ?? 0)) results.push(...(await run(slice)));
  return results;
}

/** Approximate size of a value as JSON: the length of its texts, plus some bytes per member. */
export function approximateBytes(value: unknown): number {
  if (typeof value === 'string') return value.length + MEMBER_BYTES;
  if (typeof value !== 'object' || value === null) return MEMBER_BYTES;
  let bytes = MEMBER_BYTES;
  if (Array.isArray(value)) for (const one of value) bytes += approximateBytes(one);
  else bytes += approximateBytesOf(value as Record<string, unknown>);
  return bytes;
}

function approximateBytesOf(members: Record<string, unknown>): number {
  let bytes = 0;
  for (const name in members) bytes += name.length + approximateBytes(members[name]);
  return bytes;
}

const MEMBER_BYTES = 4;

/** Like `items.map(change)`, but yields, so that a thousand large items do not block the event loop. */
export async function mapInTurns<Item, Changed>(
  items: readonly Item[],
  change: (item: Item, index: number) => Changed,
): Promise<Changed[]> {
  const turns = new Turns();
  const changed: Changed[] = [];
  for (const [index, item] of items.entries()) {
    changed.push(change(item, index));
    if (turns.isOver) await turns.next();
  }
  return changed;
}
