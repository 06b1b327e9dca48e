import type { Db } from '../../store/db';
import * as store from '../../store/runners';

/** The runners that this coordinator hears, written down in batches, and those that any coordinator was told to drain. */
export class Roster {
  private seen = new Map<string, store.SeenRunner>();
  private draining = new Set<string>();
  private readonly known = new Set<string>();
  private writing: Promise<void> | undefined;

  constructor(private readonly db: Db) {}

  isDraining(runnerId: string): boolean {
    return this.draining.has(runnerId);
  }

  /** A claim names what the runner takes; a heartbeat only that it lives. */
  hear(runner: store.SeenRunner): void {
    const before = this.seen.get(runner.id);
    this.seen.set(runner.id, before === undefined || runner.types !== undefined ? runner : before);
  }

  /** Whether a runner waits to be written down that was never written by this coordinator. */
  hasNewcomers(): boolean {
    for (const id of this.seen.keys()) if (!this.known.has(id)) return true;
    return false;
  }

  /** Writes down all that were heard before this call; a write under way may hold some of them, so it is waited for. */
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
      for (const runner of batch) this.known.add(runner.id);
    } catch (error) {
      for (const runner of batch) if (!this.seen.has(runner.id)) this.seen.set(runner.id, runner);
      throw error;
    }
  }
}
