import type { DisconnectSignal } from './disconnect-signal';

/** Requests that wait for an event that has a key. They hold no connection to the database. */
export class KeyedWaits {
  private readonly wakersByKey = new Map<string, Set<() => void>>();
  isClosed = false;

  /** Number of keys that requests wait for. */
  get size(): number {
    return this.wakersByKey.size;
  }

  keys(): string[] {
    return [...this.wakersByKey.keys()];
  }

  /** Resolves when the key is woken, the time is over, the client has disconnected, or all waits are closed. */
  wait(key: string, waitMs: number, signal: DisconnectSignal): Promise<void> {
    if (this.isClosed || signal.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      const wakers = this.wakersByKey.get(key) ?? new Set();
      const end = (): void => {
        clearTimeout(timer);
        signal.removeEventListener('abort', end);
        wakers.delete(end);
        if (wakers.size === 0) this.wakersByKey.delete(key);
        resolve();
      };
      const timer = setTimeout(end, waitMs);
      signal.addEventListener('abort', end);
      this.wakersByKey.set(key, wakers.add(end));
    });
  }

  wake(key: string): void {
    for (const end of [...(this.wakersByKey.get(key) ?? [])]) end();
  }

  /** Ends all current and later waits. */
  close(): void {
    this.isClosed = true;
    for (const key of this.keys()) this.wake(key);
  }
}
