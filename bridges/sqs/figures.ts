import { collectDefaultMetrics, Counter, Gauge, Registry } from 'prom-client';
import type { Depth, Queue } from './queue';

const PREFIX = 'baton_bridge_sqs_';
/** A scrape within this time is answered from the last depths, since each look costs a request of SQS. */
const DEPTH_IS_FRESH_MS = 5000;

/** What became of a received message. */
export type Received = 'created' | 'redriven' | 'refused' | 'left';
/** What was sent, and why. */
export type Sent = 'event' | 'dead_letter' | 'refused';

/** Metrics of the bridge, and its counts for `/healthz`. */
export class BridgeFigures {
  readonly registry = new Registry();
  readonly received: Record<Received, number> = { created: 0, redriven: 0, refused: 0, left: 0 };
  readonly sent: Record<Sent, number> = { event: 0, dead_letter: 0, refused: 0 };
  private readonly receivedTotal = new Counter({
    name: `${PREFIX}received_total`,
    help: 'Messages received, by what became of them',
    labelNames: ['outcome'],
    registers: [this.registry],
  });
  private readonly sentTotal = new Counter({
    name: `${PREFIX}sent_total`,
    help: 'Messages sent, by what they are',
    labelNames: ['kind'],
    registers: [this.registry],
  });

  constructor() {
    collectDefaultMetrics({ register: this.registry });
  }

  onReceived(outcome: Received): void {
    this.received[outcome] += 1;
    this.receivedTotal.inc({ outcome });
  }

  onSent(kind: Sent): void {
    this.sent[kind] += 1;
    this.sentTotal.inc({ kind });
  }

  /** Adds a gauge that is read at each scrape. */
  gauge(name: string, help: string, read: () => number): void {
    const { registry } = this;
    new Gauge({
      ...{ name: PREFIX + name, help, registers: [registry] },
      collect() {
        this.set(read());
      },
    });
  }

  /** Adds the depths of queues, by the word they have here. A queue that cannot be asked is left out. */
  depths(queues: Record<string, Queue>): void {
    let readAtMs = -Infinity;
    new Gauge({
      name: `${PREFIX}queue_messages`,
      help: 'Messages in each queue, approximately, as SQS counts them',
      labelNames: ['queue', 'name', 'state'],
      registers: [this.registry],
      async collect() {
        if (performance.now() - readAtMs < DEPTH_IS_FRESH_MS) return;
        readAtMs = performance.now();
        this.reset();
        const read = await Promise.allSettled(
          Object.entries(queues).map(async ([word, queue]) => [word, queue.name, await queue.depth()] as const),
        );
        for (const one of read)
          if (one.status === 'fulfilled')
            for (const [state, count] of statesOf(one.value[2]))
              this.set({ queue: one.value[0], name: one.value[1], state }, count);
      },
    });
  }
}

function statesOf({ visible, inFlight, delayed }: Depth): [string, number][] {
  return [
    ['visible', visible],
    ['in_flight', inFlight],
    ['delayed', delayed],
  ];
}
