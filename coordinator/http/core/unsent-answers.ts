import type { ServerResponse } from 'node:http';
import { BatonError } from '../../errors';
import { type ShareLimits, Shares } from '../../shares';

const SWEEP_MS = 1000;
/** A client has so long to take an answer, and as much longer as it takes at the least rate. */
const LEAST_DEADLINE_MS = 10_000;
const LEAST_BYTES_PER_MS = 64;
/** Shorter answers are never refused: connections take up most of them at once, and their number is bounded. */
export const SHORT_ANSWER_BYTES = 16 * 1024;

interface Unsent {
  keyId: string;
  bytes: number;
  until: number;
  cut: () => void;
}

/**
 * Answers that are written, but that their clients have not read yet. They are in memory until then, so a key may have
 * only so much of them, and a client that takes nothing for too long is cut off.
 */
export class UnsentAnswers {
  private readonly open = new Set<Unsent>();
  private readonly shares: Shares;
  private timer: NodeJS.Timeout | undefined;

  constructor(private readonly most: ShareLimits) {
    this.shares = new Shares(most);
  }

  /** How many bytes wait to be read. */
  get bytes(): number {
    return this.shares.total;
  }

  /** @throws {BatonError} when so many more bytes may not wait: `rate_limited`, or `unavailable` if it is not the key's fault */
  requireRoom(keyId: string, bytes: number): void {
    if (bytes <= SHORT_ANSWER_BYTES) return;
    const own = this.shares.of(keyId);
    // One answer alone may be longer than a share.
    const reason = this.shares.whyNot(keyId, own === 0 ? Math.min(bytes, this.most.perKey) : bytes);
    if (reason === 'key') {
      throw new BatonError(
        'rate_limited',
        `Answers to this key that were not read yet take ${mib(own)} MiB here, and may take ${mib(this.most.perKey)}, or as much as is left for others; read them first.`,
        { retryAfterMs: 1000 },
      );
    }
    if (reason === 'all')
      throw new BatonError('unavailable', 'Too many answers wait to be read by their clients.', { retryAfterMs: 1000 });
  }

  /**
   * Before a call is begun whose answer's length is not known yet.
   * @throws {BatonError} `rate_limited` when the key has had its share already
   */
  requireShare(keyId: string): void {
    if (this.shares.of(keyId) > 0) this.requireRoom(keyId, SHORT_ANSWER_BYTES + 1);
  }

  /**
   * An answer was written. Most are taken by the connection at once, and cost nothing here.
   * @param cut closes the connection
   * @returns what is called when the answer was taken, or cannot be any more; undefined: it was taken already
   */
  written(response: ServerResponse, keyId: string, bytes: number, cut: () => void): (() => void) | undefined {
    if (response.writableLength === 0 && (response.socket?.writableLength ?? 1) === 0) return undefined;
    const answer = { keyId, bytes, until: performance.now() + deadlineMs(bytes), cut };
    this.open.add(answer);
    this.shares.add(keyId, bytes);
    this.timer ??= setInterval(() => this.sweep(performance.now()), SWEEP_MS).unref();
    return () => {
      if (this.open.delete(answer)) this.shares.add(keyId, -bytes);
    };
  }

  /** Cuts off those who are late. */
  sweep(now: number): void {
    for (const { until, cut } of [...this.open]) if (until < now) cut();
    if (this.open.size > 0) return;
    clearInterval(this.timer);
    this.timer = undefined;
  }
}

/** How long a client may take to read an answer, in milliseconds. */
export function deadlineMs(bytes: number): number {
  return LEAST_DEADLINE_MS + bytes / LEAST_BYTES_PER_MS;
}

function mib(bytes: number): number {
  return Math.round(bytes / 1_048_576);
}
