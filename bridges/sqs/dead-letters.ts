import type { MessageAttributeValue } from '@aws-sdk/client-sqs';
import type { Job } from '@baton/runner-sdk';
import type { RefusedMessage } from './mapping';
import { bytesOf, type Message, type Outgoing, textAttribute } from './queue';

// What the bridge sends to the dead-letter queue: messages that can never become a job, as they came, and failed jobs.

/** Marks a dead letter of the coordinator: the id of the job. */
export const JOB_ID = 'BatonJobId';
const ATTEMPT = 'BatonAttempt';
const REASON = 'BatonReason';
const DETAIL = 'BatonDetail';
const SOURCE_ID = 'BatonMessageId';
/** The original attributes as JSON, when they and the reason are more than SQS takes. */
const ATTRIBUTES = 'BatonAttributes';
const MOST_ATTRIBUTES = 10;
const MOST_DETAIL = 1000;
/** What a job created anew takes over from one that is gone. */
const KEPT_FIELDS = [
  ...['type', 'queue', 'arguments', 'priority', 'timeoutMs', 'maxAttempts', 'retry', 'concurrencyKey', 'orderKey'],
  ...['requires', 'tags', 'metadata', 'userId'],
] as const;

/** A message that can never become a job, with the reason. */
export function refusedLetter(message: Message, { code, message: detail }: RefusedMessage): Outgoing {
  const own = {
    [REASON]: textAttribute(code),
    [DETAIL]: textAttribute(detail.slice(0, MOST_DETAIL)),
    [SOURCE_ID]: textAttribute(message.id),
  };
  return {
    body: message.body,
    attributes: { ...beside(withoutReason(message.rawAttributes), Object.keys(own).length), ...own },
    ...{ group: message.group ?? message.id, deduplicationId: message.id },
  };
}

/** The message as it was before it was refused, for a redrive. */
export function withoutReason(
  attributes: Record<string, MessageAttributeValue>,
): Record<string, MessageAttributeValue> {
  const own = [REASON, DETAIL, SOURCE_ID, ATTRIBUTES];
  const packed = attributes[ATTRIBUTES]?.StringValue;
  const unpacked = packed === undefined ? {} : (JSON.parse(packed) as Record<string, MessageAttributeValue>);
  return { ...unpacked, ...Object.fromEntries(Object.entries(attributes).filter(([name]) => !own.includes(name))) };
}

/**
 * A failed job, from which it can be retried, or created anew when it is gone. Arguments that are too large are left
 * out.
 */
export function jobLetter(job: Job, mostBytes: number): Outgoing {
  const kept = Object.fromEntries(
    KEPT_FIELDS.flatMap((name) => {
      const value = (job as Record<string, unknown>)[name];
      return value === null || value === undefined ? [] : [[name, value]];
    }),
  );
  const attributes = {
    [JOB_ID]: textAttribute(job.id),
    [ATTEMPT]: { DataType: 'Number', StringValue: String(job.attempt) },
    [REASON]: textAttribute(job.error?.code ?? 'failed'),
    [DETAIL]: textAttribute(attributeText(job.error?.message ?? '')),
  };
  const about = { jobId: job.id, attempt: job.attempt, error: job.error, failedAt: job.finishedAt };
  const full = JSON.stringify({ ...about, job: kept });
  const fits = bytesOf(full, attributes) <= mostBytes;
  const { arguments: _tooLarge, metadata: _perhapsToo, ...small } = kept;
  return {
    body: fits ? full : JSON.stringify({ ...about, job: small, omitted: ['arguments', 'metadata'] }),
    attributes,
    ...{ group: job.id, deduplicationId: `${job.id}.${job.attempt}` },
  };
}

/** What a dead letter of the coordinator says; null: the message is none. */
export function readJobLetter({ body, attributes }: Message): JobLetter | null {
  const jobId = attributes[JOB_ID];
  if (jobId === undefined) return null;
  const { job, omitted } = parsed(body);
  return {
    ...{ jobId, attempt: Number(attributes[ATTEMPT]) },
    job: typeof job === 'object' && job !== null && omitted === undefined ? (job as Record<string, unknown>) : null,
  };
}

export interface JobLetter {
  jobId: string;
  /** The attempt that failed. */
  attempt: number;
  /** Fields of the job; null: they were too large. */
  job: Record<string, unknown> | null;
}

function beside(attributes: Record<string, MessageAttributeValue>, own: number): Record<string, MessageAttributeValue> {
  if (Object.keys(attributes).length + own <= MOST_ATTRIBUTES) return attributes;
  return { [ATTRIBUTES]: textAttribute(JSON.stringify(attributes)) };
}

/** SQS refuses empty values, and characters that XML does not have. */
function attributeText(text: string): string {
  return text.replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/g, ' ').slice(0, MOST_DETAIL) || '-';
}

function parsed(body: string): { job?: unknown; omitted?: unknown } {
  try {
    const value: unknown = JSON.parse(body);
    return typeof value === 'object' && value !== null ? value : {};
  } catch {
    return {};
  }
}
