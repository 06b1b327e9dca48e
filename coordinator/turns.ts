/** How long the event loop is held by work that can be divided, before others get their turn. */
const TURN_MS = 8;

/** Work that is divided: between its parts, others get their turn once it has lasted for long enough. */
export class Turns {
  private endsAt = performance.now() + TURN_MS;

  get isOver(): boolean {
    return performance.now() >= this.endsAt;
  }

  /** Resolves at once while its turn lasts; else when whatever else is to be done was done. */
  async next(): Promise<void> {
    if (!this.isOver) return;
    await new Promise<void>((resolve) => setImmediate(resolve));
    this.endsAt = performance.now() + TURN_MS;
  }
}

/** What one statement carries: to write so much down, and to send it, takes a few milliseconds. */
export const MOST_STATEMENT_BYTES = 2 * 1024 * 1024;

/** The items in their order, as many at a time as weigh at most `most` together, and one at least. */
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
 * What `run` makes of the items, each of which it judges alone: of large ones a few at a time. A run that fails ends it, so
 * `run` must bear to be repeated.
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

/** About what a value takes as JSON: as many bytes as its texts have characters, and some for each member. */
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

/** As `items.map(change)`; a thousand large ones do not hold the event loop together. */
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
