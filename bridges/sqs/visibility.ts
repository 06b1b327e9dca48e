import type { Message, Queue } from './queue';

/**
 * Keeps the messages in hand invisible to others, with one timer for all. A message that is no longer held, because an
 * extension came too late or SQS ended it after twelve hours, has its signal aborted: others may have it by now.
 */
export class Visibility {
  private readonly held = new Map<Message, AbortController>();
  private readonly timer: NodeJS.Timeout;

  constructor(
    private readonly queue: Queue,
    private readonly visibilityMs: number,
    private readonly onError: (error: unknown) => void,
  ) {
    this.timer = setInterval(() => void this.extend(), visibilityMs / 3);
  }

  get size(): number {
    return this.held.size;
  }

  /** Returns a signal that is aborted when the message is held no longer. */
  hold(message: Message): AbortSignal {
    const controller = new AbortController();
    this.held.set(message, controller);
    return controller.signal;
  }

  release(message: Message): void {
    this.held.delete(message);
  }

  close(): void {
    clearInterval(this.timer);
  }

  private async extend(): Promise<void> {
    if (this.held.size === 0) return;
    try {
      for (const message of await this.queue.extend([...this.held.keys()], this.visibilityMs)) {
        this.held.get(message)?.abort();
        this.held.delete(message);
      }
    } catch (error) {
      // The next round extends them, if it comes in time.
      this.onError(error);
    }
  }
}
