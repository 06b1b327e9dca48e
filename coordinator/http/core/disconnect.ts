import type { DisconnectSignal } from '../../dispatch/disconnect-signal';

/**
 * Tells when the client has disconnected. An AbortSignal takes more time and memory than the rest of a waiting poll, so
 * one is created only on demand.
 */
export class Disconnect implements DisconnectSignal {
  aborted = false;
  private control: AbortController | null = null;
  private listeners: readonly (() => void)[] = NONE;

  get signal(): AbortSignal {
    this.control ??= new AbortController();
    if (this.aborted) this.control.abort();
    return this.control.signal;
  }

  addEventListener(_type: 'abort', listener: () => void): void {
    this.listeners = [...this.listeners, listener];
  }

  removeEventListener(_type: 'abort', listener: () => void): void {
    this.listeners =
      this.listeners.length === 1 && this.listeners[0] === listener
        ? NONE
        : this.listeners.filter((one) => one !== listener);
  }

  abort(): void {
    if (this.aborted) return;
    this.aborted = true;
    this.control?.abort();
    for (const listener of this.listeners) listener();
  }
}

const NONE: readonly (() => void)[] = [];
