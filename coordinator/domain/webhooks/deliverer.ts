import type { Context } from '../../context';
import { describeError } from '../../logger';
import * as store from '../../store/webhook-deliveries';
import { disable } from './disable';
import { isGone, judgeSent, type Sent } from './schedule';
import { Sender } from './sender';
import { signedHeaders } from './signature';

/** Most attempts at once, per coordinator. */
export const MOST_UNDER_WAY = 200;
export const MOST_PER_ENDPOINT = 8;
/** Most attempts at once for all endpoints of one user, so that hosts that never answer cannot use all. */
export const MOST_PER_USER = 40;
const MOST_LOOKED_AT = 1000;
const MOST_REMEMBERED = 10_000;
/** How long after the timeout of an attempt its coordinator is considered dead. */
const LEASE_SLACK_MS = 30_000;

interface UnderWay {
  delivery: store.ClaimedDelivery;
  ended: Promise<void>;
}

/** Sends due deliveries. Every coordinator has one; row locks keep the coordinators apart. */
export class Deliverer {
  private readonly sender: Sender;
  private readonly underWay = new Set<UnderWay>();
  /** Endpoints whose last attempt here failed get one attempt at a time. */
  private readonly failing = new Set<string>();
  private after = '';
  private isClosed = false;

  /** @param onRoom called when an attempt has ended, so that another may start */
  constructor(
    private readonly context: Context,
    private readonly onRoom: () => void = () => undefined,
  ) {
    const { urlPolicy, timeoutMs, resolve } = context.webhooks;
    this.sender = new Sender(urlPolicy, timeoutMs, resolve);
  }

  /** Starts as many attempts as there is room for, without waiting for their ends. Returns whether more are due. */
  async round(): Promise<boolean> {
    if (this.isClosed || this.underWay.size >= MOST_UNDER_WAY) return false;
    const waiting = await store.waitingEndpoints(this.context.db, this.after, MOST_LOOKED_AT);
    this.after = waiting.length === MOST_LOOKED_AT ? (waiting.at(-1)?.endpoint ?? '') : '';
    const rooms = this.roomsOf(waiting.filter(({ isDue }) => isDue));
    const claimed =
      rooms.length === 0
        ? []
        : await store.claim(this.context.db, rooms, this.context.webhooks.timeoutMs + LEASE_SLACK_MS);
    for (const delivery of claimed) this.begin(delivery);
    return this.after !== '';
  }

  get size(): number {
    return this.underWay.size;
  }

  /** Resolves when all attempts under way now have ended. */
  async settled(): Promise<void> {
    await Promise.all([...this.underWay].map(({ ended }) => ended));
  }

  /**
   * Starts no further attempts; those that have not ended after `graceMs` are released, and sent again by another
   * coordinator.
   */
  async close(graceMs: number): Promise<void> {
    this.isClosed = true;
    const cut = setTimeout(() => void this.sender.close(), graceMs);
    await this.settled();
    clearTimeout(cut);
    await this.sender.close();
  }

  private roomsOf(due: store.WaitingEndpoint[]): { endpoint: string; room: number }[] {
    const byEndpoint = counted([...this.underWay].map(({ delivery }) => delivery.endpoint));
    const byUser = counted([...this.underWay].flatMap(({ delivery }) => delivery.userId ?? []));
    let left = MOST_UNDER_WAY - this.underWay.size;
    // Starts at another endpoint each time, so that the last ones are not always left over.
    const start = Math.floor(Math.random() * due.length);
    return [...due.slice(start), ...due.slice(0, start)].flatMap(({ endpoint, userId }) => {
      const most = this.failing.has(endpoint) ? 1 : MOST_PER_ENDPOINT;
      const ofUser = userId === null ? Infinity : MOST_PER_USER - (byUser.get(userId) ?? 0);
      const room = Math.min(left, most - (byEndpoint.get(endpoint) ?? 0), ofUser);
      if (room <= 0) return [];
      left -= room;
      if (userId !== null) byUser.set(userId, (byUser.get(userId) ?? 0) + room);
      return [{ endpoint, room }];
    });
  }

  private begin(delivery: store.ClaimedDelivery): void {
    const ended = this.attempt(delivery)
      .catch((error: unknown) => {
        this.context.log.warn('a delivery was not written down, and will be sent again', {
          deliveryId: delivery.id,
          ...describeError(error),
        });
      })
      .finally(() => {
        this.underWay.delete(one);
        this.onRoom();
      });
    const one: UnderWay = { delivery, ended };
    this.underWay.add(one);
  }

  private async attempt(delivery: store.ClaimedDelivery): Promise<void> {
    const sent = await this.send(delivery);
    if (sent === null) return store.release(this.context.db, [delivery]);
    this.remember(delivery.endpoint, sent);
    const verdict = judgeSent(sent, delivery.failures, Math.random());
    const { disableAfterMs } = this.context.webhooks;
    // Before the report: if this coordinator dies in between, the rest is tidied up later.
    if (isGone(sent) && delivery.webhookId !== null) await disable(this.context, delivery.webhookId, 'gone');
    const hasFailedFor = await store.report(this.context.db, disableAfterMs, {
      id: delivery.id,
      leaseToken: delivery.leaseToken,
      status: verdict.to,
      delayMs: verdict.to === 'pending' ? verdict.delayMs : 0,
      responseStatus: sent.status,
      error: sent.error,
      durationMs: sent.durationMs,
    });
    if (hasFailedFor && delivery.webhookId !== null)
      await disable(this.context, delivery.webhookId, 'failing', disableAfterMs);
  }

  /** Null when this coordinator stops before the answer. */
  private send({ id, url, name, at, data, sentAt, secrets }: store.ClaimedDelivery): Promise<Sent | null> {
    const body = JSON.stringify({ type: name, timestamp: at.toISOString(), data });
    const signed = signedHeaders({ id, timestamp: Math.floor(sentAt), body }, secrets);
    const headers = { 'content-type': 'application/json', 'user-agent': 'Baton-Webhooks/1', ...signed };
    return this.sender.send({ url, headers, body });
  }

  private remember(endpoint: string, { error }: Sent): void {
    if (this.failing.size >= MOST_REMEMBERED) this.failing.clear();
    if (error === null) this.failing.delete(endpoint);
    else this.failing.add(endpoint);
  }
}

function counted(names: string[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const name of names) counts.set(name, (counts.get(name) ?? 0) + 1);
  return counts;
}
