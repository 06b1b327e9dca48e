import type { Context } from '../context';
import { describeError } from '../logger';
import * as views from '../store/views/jobs';

const LOOK_EVERY_MS = 1000;

/** Requests that wait for a job to finish. They hold no connection; one look a second serves all of them. */
export class WaitingReads {
  private readonly waiting = new Map<string, Set<() => void>>();
  private timer: NodeJS.Timeout | undefined;
  private isLooking = false;
  private isClosed = false;

  constructor(private readonly context: Context) {
    context.notifications.on('finished', (ids) => ids.forEach((id) => this.wake(id)));
    context.notifications.on('finishedMany', () => void this.look());
    context.notifications.on('resync', () => void this.look());
  }

  /** How many jobs are waited for. */
  get size(): number {
    return this.waiting.size;
  }

  /** Resolves when the job may have finished, the wait is over, or the client has gone. */
  wait(jobId: string, waitMs: number, signal: AbortSignal): Promise<void> {
    if (this.isClosed || signal.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      const wakers = this.waiting.get(jobId) ?? new Set();
      const done = (): void => {
        clearTimeout(over);
        signal.removeEventListener('abort', done);
        wakers.delete(done);
        if (wakers.size === 0) this.waiting.delete(jobId);
        resolve();
      };
      const over = setTimeout(done, waitMs);
      signal.addEventListener('abort', done);
      this.waiting.set(jobId, wakers.add(done));
      this.timer ??= setInterval(() => void this.look(), LOOK_EVERY_MS);
    });
  }

  /** Answers all that wait, now and from now on. */
  close(): void {
    this.isClosed = true;
    for (const id of [...this.waiting.keys()]) this.wake(id);
    clearInterval(this.timer);
  }

  private wake(jobId: string): void {
    for (const done of [...(this.waiting.get(jobId) ?? [])]) done();
  }

  private async look(): Promise<void> {
    if (this.isLooking) return;
    if (this.waiting.size === 0) {
      clearInterval(this.timer);
      this.timer = undefined;
      return;
    }
    this.isLooking = true;
    try {
      for (const id of await views.finished(this.context.db, [...this.waiting.keys()])) this.wake(id);
    } catch (error) {
      this.context.log.warn('could not look for finished jobs', describeError(error));
    } finally {
      this.isLooking = false;
    }
  }
}
