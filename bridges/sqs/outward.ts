import { BatonError, type Client, type Job } from '@baton/runner-sdk';
import type { WebhookEvent } from '@baton/runner-kit';
import { jobLetter } from './dead-letters';
import type { BridgeFigures } from './figures';
import { bytesOf, type Outgoing, type Queue, textAttribute } from './queue';

export interface OutwardOptions {
  /** Where events go. */
  events: Queue | null;
  /** Where failed jobs go. */
  deadLetters: Queue | null;
  /** Whether an event of the end of a job brings the job along, with its result. */
  withResults: boolean;
  mostBytes: number;
  client: Pick<Client, 'get'>;
  figures: BridgeFigures;
}

const ENDS = ['job.completed', 'job.failed', 'job.cancelled'];

/**
 * Sends what webhooks tell to SQS. A delivery is acknowledged only after SQS has acknowledged the message, so that the
 * coordinator's outbox repeats what was lost on the way: each event arrives at least once.
 */
export class Outward {
  constructor(private readonly options: OutwardOptions) {}

  async receive(event: WebhookEvent, id: string): Promise<void> {
    const { events, deadLetters, withResults, figures, mostBytes } = this.options;
    const jobId = event.data['jobId'];
    const isDead = event.type === 'job.failed' && deadLetters !== null;
    const isTold = events !== null && withResults && ENDS.includes(event.type);
    const job = typeof jobId === 'string' && (isDead || isTold) ? await this.read(jobId) : null;
    // A job that was retried in the meantime is no dead letter any more.
    if (isDead && job?.status === 'failed') {
      await deadLetters.send(jobLetter(job, mostBytes));
      figures.onSent('dead_letter');
    }
    if (events === null) return;
    await events.send(eventMessage(event, id, isTold ? job : null, mostBytes));
    figures.onSent('event');
  }

  /** Null: the job was deleted. */
  private async read(id: string): Promise<Job | null> {
    try {
      return await this.options.client.get(id);
    } catch (error) {
      if (error instanceof BatonError && error.code === 'not_found') return null;
      throw error;
    }
  }
}

/** The webhook's body, with the job beside it if that was wanted and is not too large. */
export function eventMessage(event: WebhookEvent, id: string, job: Job | null, mostBytes: number): Outgoing {
  const { jobId, type, queue } = event.data;
  const about = { BatonEvent: event.type, BatonEventId: id, BatonJobId: jobId, BatonJobType: type, BatonQueue: queue };
  const attributes = Object.fromEntries(
    Object.entries(about).flatMap(([name, value]) =>
      typeof value === 'string' && value !== '' ? [[name, textAttribute(value)]] : [],
    ),
  );
  const full = JSON.stringify({ ...event, ...(job !== null && { job }) });
  const fits = job === null || bytesOf(full, attributes) <= mostBytes;
  return {
    body: fits ? full : JSON.stringify({ ...event, omitted: ['job'] }),
    attributes,
    ...{ group: typeof jobId === 'string' ? jobId : id, deduplicationId: id },
  };
}
