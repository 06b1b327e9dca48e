import type { Db } from '../store/db';
import * as store from '../store/runners';

/** Most runners kept in memory between two writes, because callers can make up any number of ids. */
const MOST_SEEN = 10_000;

/** The runners that call this coordinator, written in batches, and the runners that are draining. */
export class RunnerRegistry {
  private seen = new Map<string, store.SeenRunner>();
  private draining = new Set<string>();
  private readonly known = new Set<string>();
  private writing: Promise<void> | undefined;

  constructor(private readonly db: Db) {}

  isDraining(runnerId: string): boolean {
    return this.draining.has(runnerId);
  }

  /** Notes a call of a runner. A claim contains what the runner takes; a heartbeat only shows that it is alive. */
  markSeen(runner: store.SeenRunner): void {
    const before = this.seen.get(runner.id);
    // It is noted at its next call.
    if (before === undefined && this.seen.size >= MOST_SEEN) return;
    this.seen.set(runner.id, before === undefined || runner.types !== undefined ? runner : before);
  }

  /** Notes that a runner has reported its stop. */
  markStopped(runnerId: string): void {
    this.seen.set(runnerId, { id: runnerId, isStopped: true });
    // Written as soon as a newcomer would be.
    this.known.delete(runnerId);
  }

  /** Whether a runner was seen that this coordinator has not written yet. */
  hasNewcomers(): boolean {
    for (const id of this.seen.keys()) if (!this.known.has(id)) return true;
    return false;
  }

  /** Writes every runner seen before this call. Awaits a write under way, which may contain some of them. */
  async writeSeen(): Promise<void> {
    await this.writing?.catch(() => undefined);
    this.writing = this.writeBatch();
    await this.writing;
  }

  async readDraining(): Promise<void> {
    this.draining = new Set(await store.listDraining(this.db));
  }

  private async writeBatch(): Promise<void> {
    const batch = [...this.seen.values()];
    if (batch.length === 0) return;
    this.seen = new Map();
    try {
      await store.markSeen(this.db, batch);
      if (this.known.size >= MOST_SEEN) this.known.clear();
      for (const runner of batch) this.known.add(runner.id);
    } catch (error) {
      for (const runner of batch) if (!this.seen.has(runner.id)) this.seen.set(runner.id, runner);
      throw error;
    }
  }
}
