/** As much of an AbortSignal as a call needs that waits. */
export interface Leaving {
  readonly aborted: boolean;
  addEventListener(type: 'abort', listener: () => void): void;
  removeEventListener(type: 'abort', listener: () => void): void;
}

/** Tells that the client is gone. An AbortSignal takes more time and memory than all else of a poll that waits, so it is made only when somebody asks for it. */
export class Gone implements Leaving {
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
