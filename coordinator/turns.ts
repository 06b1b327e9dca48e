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
