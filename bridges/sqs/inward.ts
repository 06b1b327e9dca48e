import { setTimeout as pause } from 'node:timers/promises';
import { BatonError, type Logger } from '@baton/runner-sdk';
import { refusedLetter } from './dead-letters';
import type { BridgeFigures } from './figures';
import type { JobMaker } from './job-maker';
import { RefusedMessage } from './mapping';
import type { Message, Queue } from './queue';
import { Visibility } from './visibility';

export interface InwardOptions {
  source: Queue;
  /** Null: what can never become a job stays in the queue, whose own redrive policy decides. */
  deadLetters: Queue | null;
  maker: Pick<JobMaker, 'make'>;
  figures: BridgeFigures;
  logger: Logger;
  /** How many messages are in hand at most. */
  mostInHand: number;
  /** How long one receive waits for messages; beyond SQS's 20 s, how long to rest after one without any. */
  intervalMs: number;
  initialRetryMs: number;
  maxRetryMs: number;
  visibilityMs: number;
}

/** SQS waits no longer for messages. */
const LONGEST_POLL_MS = 20_000;

/** Receives messages and makes jobs of them; a message is deleted only when its job exists. */
export class Inward {
  private readonly visibility: Visibility;
  private readonly stopping = new AbortController();
  private readonly underWay = new Set<Promise<void>>();
  /** The last message in hand of each FIFO group. */
  private readonly lastOfGroup = new Map<string, Promise<void>>();
  private failures = 0;

  constructor(private readonly options: InwardOptions) {
    this.visibility = new Visibility(options.source, options.visibilityMs, (error) =>
      options.logger.warn('messages in hand could not be extended', { error }),
    );
  }

  get inHand(): number {
    return this.visibility.size;
  }

  /** Resolves when it has been stopped and has nothing in hand. */
  async run(): Promise<void> {
    const { signal } = this.stopping;
    while (!signal.aborted) {
      if (this.underWay.size >= this.options.mostInHand) await Promise.race(this.underWay);
      else await this.receive(signal);
    }
    await Promise.all(this.underWay);
    this.visibility.close();
  }

  /** Receives no more; what waits for the coordinator is given back to the queue at once. */
  stop(): void {
    this.stopping.abort();
  }

  private async receive(signal: AbortSignal): Promise<void> {
    const { source, mostInHand, intervalMs, visibilityMs, logger } = this.options;
    let messages: Message[];
    try {
      messages = await source.receive(mostInHand - this.underWay.size, intervalMs, visibilityMs);
      if (this.failures > 0) logger.info('messages are received again', { queue: source.name });
      this.failures = 0;
    } catch (error) {
      this.failures += 1;
      if (this.failures === 1) logger.warn('messages cannot be received', { queue: source.name, error });
      await rest(this.backoffMs(this.failures), signal);
      return;
    }
    for (const message of messages) this.take(message);
    if (messages.length === 0) await rest(intervalMs - LONGEST_POLL_MS, signal);
  }

  /** Messages of one FIFO group are handled one after the other, others side by side. */
  private take(message: Message): void {
    const isHeld = this.visibility.hold(message);
    const before = message.group === undefined ? undefined : this.lastOfGroup.get(message.group);
    const handled = (async () => {
      await before;
      await this.handle(message, isHeld);
    })();
    const done = handled
      .catch((error: unknown) =>
        this.options.logger.error('a message was left in the queue', { error, ...of(message) }),
      )
      .finally(() => {
        this.visibility.release(message);
        this.underWay.delete(done);
        if (message.group !== undefined && this.lastOfGroup.get(message.group) === done)
          this.lastOfGroup.delete(message.group);
      });
    this.underWay.add(done);
    if (message.group !== undefined) this.lastOfGroup.set(message.group, done);
  }

  private async handle(message: Message, isHeld: AbortSignal): Promise<void> {
    const { source, figures, maker } = this.options;
    for (let failures = 0; !isHeld.aborted;) {
      if (this.stopping.signal.aborted) {
        figures.onReceived('left');
        return source.giveBack(message);
      }
      try {
        const outcome = await maker.make(message);
        // If this is lost, the message comes again, and makes no second job.
        await source.delete(message);
        return figures.onReceived(outcome);
      } catch (error) {
        if (error instanceof RefusedMessage) return this.refuse(message, error, isHeld);
        failures += 1;
        await this.restAfter(error, failures, message, isHeld);
      }
    }
    figures.onReceived('left');
  }

  private async restAfter(error: unknown, failures: number, message: Message, isHeld: AbortSignal): Promise<void> {
    const waitMs = Math.max(
      this.backoffMs(failures),
      Math.min(error instanceof BatonError ? (error.retryAfterMs ?? 0) : 0, this.options.maxRetryMs),
    );
    this.options.logger.warn('a message waits for its job', { error, failures, waitMs, ...of(message) });
    await rest(waitMs, AbortSignal.any([isHeld, this.stopping.signal]));
  }

  private async refuse(message: Message, reason: RefusedMessage, isHeld: AbortSignal): Promise<void> {
    const { source, deadLetters, figures, logger, maxRetryMs } = this.options;
    logger.warn('a message can never become a job', { code: reason.code, reason: reason.message, ...of(message) });
    figures.onReceived('refused');
    if (deadLetters === null) return source.giveBack(message, maxRetryMs);
    for (let failures = 1; !isHeld.aborted && !this.stopping.signal.aborted; failures += 1) {
      try {
        await deadLetters.send(refusedLetter(message, reason));
        figures.onSent('refused');
        return await source.delete(message);
      } catch (error) {
        await this.restAfter(error, failures, message, isHeld);
      }
    }
    if (!isHeld.aborted) await source.giveBack(message);
  }

  /** Doubles with each failure, with up to half of it taken away at random. */
  private backoffMs(failures: number): number {
    const { initialRetryMs, maxRetryMs } = this.options;
    return Math.min(initialRetryMs * 2 ** (failures - 1), maxRetryMs) * (1 - Math.random() / 2);
  }
}

async function rest(ms: number, signal: AbortSignal): Promise<void> {
  if (ms > 0) await pause(ms, undefined, { signal }).catch(() => undefined);
}

function of({ id, group }: Message): Record<string, unknown> {
  return { messageId: id, ...(group !== undefined && { group }) };
}
