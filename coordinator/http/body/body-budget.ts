import { BatonError } from '../../errors';
import type { DisconnectSignal } from '../../dispatch/disconnect-signal';
import { type ShareLimits, Shares } from '../../shares';

/** Shorter bodies are not counted: a thousand of them, as many as a key may have under way, take 16 MiB. */
export const UNCOUNTED_BYTES = 16 * 1024;
const PATIENCE_MS = 10_000;

export type GiveBack = (keptBytes?: number) => void;

interface Waiter {
  keyId: string;
  bytes: number;
  admit: () => void;
}

/**
 * Limits the bytes of bodies in memory, in all and per key, from before they are read until their calls have ended.
 * When there is no room a call waits for some time without being read, which slows its client down.
 */
export class BodyBudget {
  private readonly shares: Shares;
  private readonly waiting = new Set<Waiter>();

  constructor(private readonly most: ShareLimits) {
    this.shares = new Shares(most);
  }

  /**
   * @returns a function that gives the room back, except for the bytes that are kept; synchronous when there is room
   * @throws {BatonError} `rate_limited` when there was none for ten seconds
   */
  take(keyId: string, bytes: number, disconnect: DisconnectSignal): GiveBack | Promise<GiveBack> {
    const wanted = Math.min(bytes, this.most.perKey);
    if (wanted <= UNCOUNTED_BYTES) return nothing;
    if (this.hasRoom(keyId, wanted)) return this.admit(keyId, wanted);
    return new Promise((resolve, reject) => {
      const end = (): void => {
        clearTimeout(patience);
        disconnect.removeEventListener('abort', refuse);
        this.waiting.delete(waiter);
      };
      const refuse = (): void => {
        end();
        reject(tooMuch(this.most.perKey));
      };
      const waiter: Waiter = {
        keyId,
        bytes: wanted,
        admit: () => {
          end();
          resolve(this.admit(keyId, wanted));
        },
      };
      const patience = setTimeout(refuse, PATIENCE_MS);
      disconnect.addEventListener('abort', refuse);
      this.waiting.add(waiter);
    });
  }

  /** Bytes in memory. */
  get bytes(): number {
    return this.shares.total;
  }

  /** Number of calls that wait for room. */
  get waiters(): number {
    return this.waiting.size;
  }

  private hasRoom(keyId: string, bytes: number): boolean {
    return this.shares.whyNot(keyId, bytes) === null;
  }

  private admit(keyId: string, bytes: number): GiveBack {
    this.shares.add(keyId, bytes);
    let held = bytes;
    return (kept = 0) => {
      const given = held - (kept > UNCOUNTED_BYTES ? kept : 0);
      if (given <= 0) return;
      held -= given;
      this.shares.add(keyId, -given);
      for (const waiter of [...this.waiting]) if (this.hasRoom(waiter.keyId, waiter.bytes)) waiter.admit();
    };
  }
}

function nothing(): void {
  return undefined;
}

function tooMuch(perKey: number): BatonError {
  return new BatonError(
    'rate_limited',
    `Too many large requests are under way: those of one key may take ${perKey / 1_048_576} MiB at once.`,
    { retryAfterMs: 1000 },
  );
}
