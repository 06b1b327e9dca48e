import type { Server } from 'node:http';
import type { Socket } from 'node:net';
import { BatonError } from '../../errors';
import type { Access } from './access';
import { Shares } from '../../shares';

type Limits = Pick<Access, 'parkedPollsPerKey' | 'requestsPerKey' | 'socketsPerKey' | 'trustProxy'>;

/** This many keys may use their whole shares at once; with more keys, each has less. */
export const KEYS_AT_FULL_SHARE = 10;

/**
 * Requests under way, and waiting ones. Heartbeats count separately, so that busy runners do not use up the share of
 * polls for work.
 */
type Load = Record<'requests' | 'parked' | 'heartbeats', Shares>;

/** Limits how many requests, waiting calls and connections each key may have at this coordinator at a time. */
export class KeyLimits {
  private readonly load: Load;
  /** The key that each connection counts for: the one that last called on it. */
  private readonly holders = new WeakMap<Socket, string>();
  private readonly sockets = new Map<string, number>();

  constructor(private readonly limits: Limits) {
    const shares = (perKey: number) => new Shares({ perKey, inAll: perKey * KEYS_AT_FULL_SHARE });
    this.load = {
      requests: shares(limits.requestsPerKey),
      parked: shares(limits.parkedPollsPerKey),
      heartbeats: shares(limits.parkedPollsPerKey),
    };
  }

  /** @throws {BatonError} `rate_limited` when the key has too many requests under way, `unavailable` when all have */
  enter(keyId: string): RequestSlot {
    const { requests } = this.load;
    const reason = requests.whyNot(keyId, 1);
    if (reason === 'key') {
      throw new BatonError(
        'rate_limited',
        `This key has ${requests.of(keyId)} requests under way on this coordinator, and may have no more.`,
        { retryAfterMs: 1000 },
      );
    }
    if (reason === 'all')
      throw new BatonError('unavailable', 'Too many requests are under way.', { retryAfterMs: 1000 });
    requests.add(keyId, 1);
    return new RequestSlot(this.load, keyId);
  }

  /**
   * Counts the connection for the key.
   * @returns false when the key has too many connections. Connections of a trusted proxy are shared by keys, and not
   * counted.
   */
  countSocket(socket: Socket, keyId: string): boolean {
    const holder = this.holders.get(socket);
    if (holder === keyId || this.limits.trustProxy !== 0 || socket.destroyed) return true;
    const count = this.sockets.get(keyId) ?? 0;
    if (count >= this.limits.socketsPerKey) return false;
    if (holder === undefined) socket.once('close', () => this.uncountSocket(this.holders.get(socket)));
    else this.uncountSocket(holder);
    this.holders.set(socket, keyId);
    this.sockets.set(keyId, count + 1);
    return true;
  }

  private uncountSocket(keyId = ''): void {
    const left = (this.sockets.get(keyId) ?? 1) - 1;
    if (left === 0) this.sockets.delete(keyId);
    else this.sockets.set(keyId, left);
  }
}

/** One request under way. */
export class RequestSlot {
  private state: keyof Load | null = 'requests';

  constructor(
    private readonly load: Load,
    private readonly keyId: string,
  ) {}

  /**
   * Moves the request to the waiting ones, which cost little, so more are allowed.
   * @throws {BatonError} `rate_limited` when too many calls of the key wait, `unavailable` when too many of all keys do
   */
  park(state: 'parked' | 'heartbeats' = 'parked'): void {
    if (this.state !== 'requests') return;
    const { load, keyId } = this;
    const reason = load[state].whyNot(keyId, 1);
    if (reason === 'key') {
      throw new BatonError(
        'rate_limited',
        `${load[state].of(keyId)} calls with this key wait on this coordinator already; use another key, or let runners claim for several slots at once.`,
        { retryAfterMs: 5000 },
      );
    }
    if (reason === 'all')
      throw new BatonError('unavailable', 'Too many calls wait on this coordinator.', { retryAfterMs: 5000 });
    load.requests.add(keyId, -1);
    load[state].add(keyId, 1);
    this.state = state;
  }

  release(): void {
    if (this.state === null) return;
    this.load[this.state].add(this.keyId, -1);
    this.state = null;
  }
}

/**
 * Closes connections from an address that has too many. Not used behind a trusted proxy, whose address is that of all
 * its clients.
 */
export function capSockets(server: Server, { socketsPerAddress, trustProxy }: Access): void {
  if (trustProxy !== 0) return;
  const counts = new Map<string, number>();
  server.on('connection', (socket) => {
    const address = socket.remoteAddress ?? '';
    const count = (counts.get(address) ?? 0) + 1;
    if (count > socketsPerAddress) return void socket.destroy();
    counts.set(address, count);
    socket.once('close', () => {
      const left = (counts.get(address) ?? 1) - 1;
      if (left === 0) counts.delete(address);
      else counts.set(address, left);
    });
  });
}
