import type { Db } from '../store/db';
import * as store from '../store/runners';

/** Callers name runners as they like, so no more are remembered between two writes. */
const MOST_SEEN = 10_000;

/** The runners that call this coordinator, recorded in batches, and those that any coordinator was told to drain. */
export class RunnerRegistry {
  private seen = new Map<string, store.SeenRunner>();
  private draining = new Set<string>();
  private readonly known = new Set<string>();
  private writing: Promise<void> | undefined;

  constructor(private readonly db: Db) {}

  isDraining(runnerId: string): boolean {
    return this.draining.has(runnerId);
  }

  /** A claim says what the runner takes, a heartbeat only that it is alive. */
  hear(runner: store.SeenRunner): void {
    const before = this.seen.get(runner.id);
    // The rest is heard at its next call.
    if (before === undefined && this.seen.size >= MOST_SEEN) return;
    this.seen.set(runner.id, before === undefined || runner.types !== undefined ? runner : before);
  }

  /** It has stopped, and said so. */
  leave(runnerId: string): void {
    this.seen.set(runnerId, { id: runnerId, isStopped: true });
    // Written down soon, as newcomers are.
    this.known.delete(runnerId);
  }

  /** Whether a runner that this coordinator never recorded is waiting to be. */
  hasNewcomers(): boolean {
    for (const id of this.seen.keys()) if (!this.known.has(id)) return true;
    return false;
  }

  /** Records every runner seen before this call. Awaits a write under way, which may contain some of them. */
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
