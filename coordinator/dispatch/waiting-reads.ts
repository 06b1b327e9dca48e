import type { Context } from '../context';
import { describeError } from '../logger';
import * as views from '../store/views/jobs';
import { KeyedWaits } from './keyed-waits';
import { Poller } from './poller';

const POLL_MS = 1000;

interface WaitingRead<T> {
  waitMs: number;
  /** Aborted when the client has disconnected. */
  signal: AbortSignal;
  read: () => Promise<T>;
  hasEnded: (found: T) => boolean;
}

/** Requests that wait for a job, a batch or a workflow to end. One poll a second serves them all. */
export class WaitingReads {
  private readonly waits = new KeyedWaits();
  private readonly poller = new Poller(POLL_MS, {
    poll: () => this.wakeFinished(),
    isNeeded: () => this.waits.size > 0,
  });

  constructor(private readonly context: Context) {
    context.notifications.on('finished', (ids) => ids.forEach((id) => this.waits.wake(id)));
    context.notifications.on('finishedMany', () => this.poller.poll());
    context.notifications.on('resync', () => this.poller.poll());
  }

  /** Number of jobs that requests wait for. */
  get size(): number {
    return this.waits.size;
  }

  /**
   * Reads something until it has ended, the time is over, or the client has disconnected; returns what was read last.
   * Each wait starts before its read, so an end in between is noticed; a wake without an end only reads again.
   *
   * @param id of a job, a batch or a workflow
   */
  async readUntil<T>(id: string, { waitMs, signal, read, hasEnded }: WaitingRead<T>): Promise<T> {
    const until = performance.now() + waitMs;
    for (;;) {
      const stop = new AbortController();
      const leftMs = Math.max(0, until - performance.now());
      const waited = this.wait(id, leftMs, AbortSignal.any([signal, stop.signal]));
      try {
        const found = await read();
        if (hasEnded(found) || leftMs === 0 || signal.aborted || this.waits.isClosed) return found;
        await waited;
      } finally {
        stop.abort();
      }
    }
  }

  /** Ends all current and later waits. */
  close(): void {
    this.waits.close();
    this.poller.stop();
  }

  private wait(id: string, waitMs: number, signal: AbortSignal): Promise<void> {
    const waited = this.waits.wait(id, waitMs, signal);
    if (this.size > 0) this.poller.start();
    return waited;
  }

  private async wakeFinished(): Promise<void> {
    try {
      for (const id of await views.finished(this.context.db, this.waits.keys())) this.waits.wake(id);
    } catch (error) {
      this.context.log.warn('could not poll for finished jobs', describeError(error));
    }
  }
}
