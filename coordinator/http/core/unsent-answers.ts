import type { ServerResponse } from 'node:http';
import { BatonError } from '../../errors';
import { type ShareLimits, Shares } from '../../shares';

const SWEEP_MS = 1000;
/** A client has this long to read an answer, plus the time that it takes at the least rate. */
const LEAST_DEADLINE_MS = 10_000;
const LEAST_BYTES_PER_MS = 64;
/**
 * Shorter answers are never refused: the socket takes most of them at once, and the number of connections is limited.
 */
export const SHORT_ANSWER_BYTES = 16 * 1024;

interface Unsent {
  keyId: string;
  bytes: number;
  until: number;
  cut: () => void;
}

/**
 * Answers that are written but not read by their clients yet. They stay in memory until then, so each key has a share,
 * and a client that reads nothing for too long is disconnected.
 */
export class UnsentAnswers {
  private readonly open = new Set<Unsent>();
  private readonly shares: Shares;
  private timer: NodeJS.Timeout | undefined;

  constructor(private readonly most: ShareLimits) {
    this.shares = new Shares(most);
  }

  /** Bytes that wait to be read. */
  get bytes(): number {
    return this.shares.total;
  }

  /**
   * @throws {BatonError} when this many more bytes may not wait: `rate_limited`, or `unavailable` if it is not the
   * key's fault
   */
  requireRoom(keyId: string, bytes: number): void {
    if (bytes <= SHORT_ANSWER_BYTES) return;
    const own = this.shares.of(keyId);
    // A single answer may be larger than a share.
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
   * Call it before a call starts, when the length of its answer is unknown.
   * @throws {BatonError} `rate_limited` when the key has used up its share
   */
  requireShare(keyId: string): void {
    if (this.shares.of(keyId) > 0) this.requireRoom(keyId, SHORT_ANSWER_BYTES + 1);
  }

  /**
   * Counts an answer that was written. Most are taken by the socket at once, and cost nothing here.
   * @param cut closes the connection
   * @returns call it when the answer was taken, or cannot be taken any more; undefined: it was taken already
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

  /** Disconnects clients whose deadline has passed. */
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
