import type { Context } from '../context';
import { describeError } from '../logger';
import * as views from '../store/views/jobs';
import type { DisconnectSignal } from './disconnect-signal';
import { KeyedWaits } from './keyed-waits';
import { Poller } from './poller';

const POLL_MS = 1000;

/** Requests that wait for a job to finish. One poll a second serves them all. */
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

  /** Resolves when the job may have finished, the wait is over, or the client has disconnected. */
  wait(jobId: string, waitMs: number, signal: DisconnectSignal): Promise<void> {
    const waited = this.waits.wait(jobId, waitMs, signal);
    if (this.size > 0) this.poller.start();
    return waited;
  }

  /** Ends all current and later waits. */
  close(): void {
    this.waits.close();
    this.poller.stop();
  }

  private async wakeFinished(): Promise<void> {
    try {
      for (const id of await views.finished(this.context.db, this.waits.keys())) this.waits.wake(id);
    } catch (error) {
      this.context.log.warn('could not poll for finished jobs', describeError(error));
    }
  }
}
