import { BatonError } from '../../errors';

interface Waiting {
  enter: () => void;
}

/**
 * Divides connections among those who ask: each has at most a share of them at once, and when there are
 * none left, those who wait take turns, whoever asked more often before.
 */
export class ConnectionShares {
  private readonly running = new Map<string, number>();
  /** In turn order. */
  private readonly waiting = new Map<string, Waiting[]>();
  private inUse = 0;

  /** @param kind what the connections are for, in the plural */
  constructor(
    private readonly kind: string,
    private readonly total: number,
    private readonly share: number,
    private readonly patienceMs: number,
  ) {}

  /**
   * @throws {BatonError} `rate_limited` when what the owner runs already takes its share for too long, `unavailable`
   *   when what others run does, and when the signal is aborted
   */
  async run<T>(owner: string, signal: AbortSignal | undefined, work: () => Promise<T>): Promise<T> {
    if (signal?.aborted === true) throw clientGone();
    if (this.isFull(owner)) await this.turn(owner, signal);
    else this.enter(owner);
    try {
      return await work();
    } finally {
      this.leave(owner);
    }
  }

  private isFull(owner: string): boolean {
    return this.inUse >= this.total || this.isAtShare(owner) || this.waiting.has(owner);
  }

  private isAtShare(owner: string): boolean {
    return (this.running.get(owner) ?? 0) >= this.share;
  }

  private enter(owner: string): void {
    this.inUse += 1;
    this.running.set(owner, (this.running.get(owner) ?? 0) + 1);
  }

  private leave(owner: string): void {
    this.inUse -= 1;
    const left = (this.running.get(owner) ?? 1) - 1;
    if (left === 0) this.running.delete(owner);
    else this.running.set(owner, left);
    for (const [next, queue] of this.waiting) {
      if (this.isAtShare(next)) continue;
      // Moves to the end of the turn order.
      this.waiting.delete(next);
      const first = queue.shift();
      if (queue.length > 0) this.waiting.set(next, queue);
      this.enter(next);
      first?.enter();
      return;
    }
  }

  private turn(owner: string, signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      const settle = (): void => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', onAbort);
      };
      const waiting: Waiting = {
        enter() {
          settle();
          resolve();
        },
      };
      const giveUp = (reason: BatonError): void => {
        settle();
        this.forget(owner, waiting);
        reject(reason);
      };
      const onAbort = (): void => giveUp(clientGone());
      const timer = setTimeout(
        () => giveUp(this.isAtShare(owner) ? ownShare(this.kind, this.share) : allShares(this.kind)),
        this.patienceMs,
      );
      signal?.addEventListener('abort', onAbort, { once: true });
      const queue = this.waiting.get(owner);
      if (queue === undefined) this.waiting.set(owner, [waiting]);
      else queue.push(waiting);
    });
  }

  private forget(owner: string, waiting: Waiting): void {
    const queue = this.waiting.get(owner) ?? [];
    queue.splice(queue.indexOf(waiting), 1);
    if (queue.length === 0) this.waiting.delete(owner);
  }
}

function ownShare(kind: string, share: number): BatonError {
  return new BatonError(
    'rate_limited',
    `Of this key's ${kind} ${share} may run at once, and those under way take long.`,
    {
      retryAfterMs: 1000,
    },
  );
}

function allShares(kind: string): BatonError {
  return new BatonError('unavailable', `Too many ${kind} are under way.`, { retryAfterMs: 1000 });
}

/** The error for a read whose client has disconnected. */
export function clientGone(): BatonError {
  return new BatonError('unavailable', 'The client went away before it was answered.');
}
