import { BatonError, type Client, type CreateOptions, type Json } from '@baton/runner-sdk';
import { readJobLetter, type JobLetter } from './dead-letters';
import { jobOf, RefusedMessage, type Rule } from './mapping';
import type { Message } from './queue';

export interface JobMakerOptions {
  client: Pick<Client, 'create' | 'get' | 'retry'>;
  /** Null: the body of a message is a job. */
  rules: readonly Rule[] | null;
  /** Of jobs that say nothing else. */
  timeoutMs: number;
  initialRetryMs: number;
  maxRetryMs: number;
  /** In the jobs' metadata. */
  queueName: string;
}

/** Makes jobs of messages. */
export class JobMaker {
  constructor(private readonly options: JobMakerOptions) {}

  /**
   * Creates the job that the message asks for, or does what a dead letter is redriven for. The same message again makes
   * no second job.
   * @throws {RefusedMessage} when it can never become a job
   * @throws what the coordinator, or the way to it, has against it now
   */
  async make(message: Message): Promise<'created' | 'redriven'> {
    const letter = readJobLetter(message);
    try {
      if (letter === null) await this.create(message, jobOf(message, this.options.rules));
      else await this.redrive(message, letter);
      return letter === null ? 'created' : 'redriven';
    } catch (error) {
      if (isFinal(error)) throw new RefusedMessage(error.code, error.message);
      throw error;
    }
  }

  private async create(message: Message, job: Record<string, unknown> & { type: string }): Promise<void> {
    const { timeoutMs, initialRetryMs: baseMs, maxRetryMs: maxMs, queueName } = this.options;
    const { type, arguments: args, metadata, ...rest } = job;
    const of = {
      messageId: message.id,
      queue: queueName,
      group: message.group ?? null,
      sentAt: message.sentAt ?? null,
    };
    const isObject = typeof metadata === 'object' && metadata !== null && !Array.isArray(metadata);
    const options = {
      ...{ timeoutMs, retry: { strategy: 'exponential', baseMs, maxMs } },
      ...(message.group !== undefined && { orderKey: message.group }),
      ...rest,
      metadata: metadata === undefined || isObject ? { ...metadata, sqs: of } : metadata,
      idempotencyKey: message.id,
    };
    try {
      // What is wrong with the fields is for the coordinator to say.
      await this.options.client.create(type, args, options as CreateOptions);
    } catch (error) {
      // The message made a job before, and a mapping that was changed since makes another one of it.
      if (!(error instanceof BatonError) || error.code !== 'idempotency_conflict') throw error;
    }
  }

  /** Retries the job, unless it went on since; when it is gone, creates it anew. */
  private async redrive(message: Message, { jobId, attempt, job }: JobLetter): Promise<void> {
    const { client } = this.options;
    try {
      const now = await client.get(jobId);
      if (now.status === 'failed' && now.attempt === attempt) await client.retry(jobId);
    } catch (error) {
      if (!(error instanceof BatonError)) throw error;
      // Another retry came before.
      if (error.code === 'state_conflict') return;
      if (error.code !== 'not_found') throw error;
      if (job === null || typeof job['type'] !== 'string')
        throw new RefusedMessage('job_gone', `job ${jobId} was deleted, and the message does not have its arguments`);
      await this.create(message, job as Record<string, Json> & { type: string });
    }
  }
}

/** Statuses that another try, or another key for the bridge, may change. */
const NOT_FINAL = [401, 408, 429];

function isFinal(error: unknown): error is BatonError {
  if (!(error instanceof BatonError)) return false;
  if (error.status === 0) return error.code === 'invalid_arguments';
  return error.status >= 400 && error.status < 500 && !NOT_FINAL.includes(error.status);
}
