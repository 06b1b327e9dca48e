import type { Logger } from '@baton/runner-sdk';
import { withoutReason } from './dead-letters';
import type { JobMaker } from './job-maker';
import { RefusedMessage } from './mapping';
import type { Message, Queue } from './queue';

export interface Redriven {
  /** Messages that became jobs, and jobs that were retried. */
  done: number;
  /** Messages that can still never become a job; they stay. */
  refused: number;
}

/** While the messages that stay are hidden, so that the queue appears empty once all were seen. */
const WAIT_MS = 1000;

/**
 * Takes each message of the dead-letter queue once: makes its job, or retries the job whose dead letter it is, and
 * deletes it. What can still never become a job stays there. Stops with the first error of another kind.
 * @param visibilityMs how long those that stay are hidden
 */
export async function redrive(
  deadLetters: Queue,
  maker: Pick<JobMaker, 'make'>,
  visibilityMs: number,
  logger: Logger,
): Promise<Redriven> {
  const redriven: Redriven = { done: 0, refused: 0 };
  const seen = new Set<string>();
  for (;;) {
    const messages = await deadLetters.receive(10, WAIT_MS, visibilityMs);
    if (messages.length === 0 || messages.every(({ id }) => seen.has(id))) return redriven;
    for (const [index, message] of messages.entries()) {
      if (seen.has(message.id)) continue;
      seen.add(message.id);
      try {
        await maker.make(restored(message));
        await deadLetters.delete(message);
        redriven.done += 1;
      } catch (error) {
        if (!(error instanceof RefusedMessage)) {
          await Promise.allSettled(messages.slice(index).map((one) => deadLetters.giveBack(one)));
          throw error;
        }
        redriven.refused += 1;
        logger.warn('stays in the dead-letter queue', {
          messageId: message.id,
          code: error.code,
          reason: error.message,
        });
      }
    }
  }
}

/** The message as it first came: under its first id, so that it makes no second job if it made one. */
function restored(message: Message): Message {
  const { BatonMessageId: id = message.id } = message.attributes;
  const rawAttributes = withoutReason(message.rawAttributes);
  const texts = Object.entries(rawAttributes).flatMap(([name, { StringValue }]) =>
    StringValue === undefined ? [] : [[name, StringValue] as const],
  );
  return { ...message, id, rawAttributes, attributes: { ...Object.fromEntries(texts) } };
}
