import type { Db } from '../store/db';
import { knownSets, type SchemaRow, schemasOf } from '../store/job-types/schemas';

/** Most entries of each kind in memory, because callers can make up any number. */
const MOST = 10_000;
/** How long schemas are used without reading them again. */
const FRESH_MS = 10_000;

interface Entry {
  schemas: SchemaRow[];
  readAt: number;
}

/**
 * The schemas that runners have published. They may be slightly stale: who would refuse something by them reads them
 * again first.
 */
export class PublishedTypes {
  private readonly known = new Set<string>();
  private readonly missing = new Set<string>();
  private readonly unread = new Set<string>();
  private entries = new Map<string, Entry>();

  constructor(private readonly db: Db) {}

  /**
   * Whether a runner that claims with this set must publish again. A set that was never looked for is looked for by the
   * next `read`, so that claims need no statement.
   */
  isMissing(typeSet: string | undefined): boolean {
    if (typeSet === undefined || this.known.has(typeSet)) return false;
    if (this.missing.has(typeSet)) return true;
    if (this.unread.size < MOST) this.unread.add(typeSet);
    return false;
  }

  /** The set was stored, with schemas of these types, which count from now on in this process. */
  publish(typeSet: string, types: readonly string[]): void {
    for (const type of types) this.entries.delete(type);
    this.add(typeSet);
  }

  private add(typeSet: string): void {
    if (this.known.size >= MOST) this.known.clear();
    this.known.add(typeSet);
    this.missing.delete(typeSet);
  }

  /** Looks for the sets that claims have named since the last time. */
  async read(): Promise<void> {
    const named = [...this.unread];
    if (named.length === 0) return;
    const found = new Set(await knownSets(this.db, named));
    if (this.missing.size >= MOST) this.missing.clear();
    for (const id of named) {
      this.unread.delete(id);
      if (found.has(id)) this.add(id);
      else if (!this.known.has(id)) this.missing.add(id);
    }
  }

  /**
   * Schemas in force, by type; no entry: none is known.
   * @param isCurrent read from the database now
   */
  async inForce(types: Iterable<string>, isCurrent = false): Promise<ReadonlyMap<string, SchemaRow[]>> {
    const wanted = [...new Set(types)];
    const now = performance.now();
    const stale = wanted.filter((type) => isCurrent || !this.isFresh(type, now));
    if (stale.length > 0) {
      const rows = await schemasOf(this.db, stale);
      if (this.entries.size + stale.length > MOST) this.entries = new Map();
      for (const type of stale)
        this.entries.set(type, { schemas: rows.filter((row) => row.type === type && row.inForce), readAt: now });
    }
    return new Map(wanted.map((type) => [type, this.entries.get(type)?.schemas ?? []]));
  }

  private isFresh(type: string, now: number): boolean {
    const entry = this.entries.get(type);
    return entry !== undefined && now - entry.readAt < FRESH_MS;
  }
}
