import type { DisconnectSignal } from './disconnect-signal';

/** Polls of runners that are given nothing: they wait, so that such runners do not ask without pause. */
export class HeldPolls {
  private readonly ends = new Set<() => void>();
  private isClosed = false;

  /** Waits until the time is over, the client goes away, or all are let go. */
  hold(waitMs: number, signal: DisconnectSignal): Promise<void> {
    if (this.isClosed) return Promise.resolve();
    return new Promise((resolve) => {
      const done = (): void => {
        clearTimeout(timer);
        this.ends.delete(done);
        signal.removeEventListener('abort', done);
        resolve();
      };
      const timer = setTimeout(done, waitMs);
      this.ends.add(done);
      signal.addEventListener('abort', done);
    });
  }

  /** Lets go of all, now and from now on. */
  close(): void {
    this.isClosed = true;
    for (const done of [...this.ends]) done();
  }
}
