import type { Logger } from './logger';
import type { ClaimedJob, CompleteReply, ReportedError } from '../protocol';

/** After this many different failures all stacks are logged again. */
const MOST_REMEMBERED = 1000;

/**
 * Logs a line for each failed attempt: what failed, and what happens next. Only the first failure of a kind has its
 * stack.
 */
export class FailureLog {
  private readonly seen = new Set<string>();

  constructor(private readonly logger: Logger) {}

  /** `reply`: the coordinator's answer to the report; `null` when it took none. */
  add(job: ClaimedJob, { message, code, stack }: ReportedError, reply: CompleteReply | null): void {
    const kind = `${job.type} ${code} ${message}`;
    const isFirst = !this.seen.has(kind);
    if (this.seen.size >= MOST_REMEMBERED) this.seen.clear();
    this.seen.add(kind);
    const fields = {
      ...{ jobId: job.id, type: job.type, attempt: job.attempt, maxAttempts: job.maxAttempts, error: message },
      ...(code !== undefined && { code }),
      ...(reply?.runAt !== undefined && { retryAt: reply.runAt }),
      ...(isFirst && stack !== undefined && { stack }),
    };
    if (reply === null) this.logger.warn('an attempt failed, and its report was not taken', fields);
    else if (reply.status === 'failed')
      this.logger.error('an attempt failed; the job has failed for good and is in the dead-letter queue', fields);
    else this.logger.warn(`an attempt failed; it is tried again${reply.runAt ? ` at ${reply.runAt}` : ''}`, fields);
  }
}
