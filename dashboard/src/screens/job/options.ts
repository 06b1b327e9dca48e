import type { Job } from '../../api/reads';

const DEFAULT_QUEUE = 'default';

/** What a job was created with beside its type and arguments, without what it would have anyway. */
export function optionsOf(job: Job): Record<string, unknown> {
  const options: Record<string, unknown> = {
    queue: job.queue === DEFAULT_QUEUE ? null : job.queue,
    priority: job.priority === 0 ? null : job.priority,
    userId: job.userId,
    tags: job.tags.length === 0 ? null : job.tags,
    metadata: job.metadata,
    maxAttempts: job.maxAttempts,
    timeoutMs: job.timeoutMs,
    requires: job.requires,
    prefers: job.prefers,
    concurrencyKey: job.concurrencyKey,
    orderKey: job.orderKey,
    callbackUrl: job.callbackUrl,
  };
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== null));
}
