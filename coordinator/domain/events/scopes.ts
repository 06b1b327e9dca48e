import type { EventRow } from '../../store/events';

/** Which events a listener wants; what is left out does not matter. */
export interface EventFilter {
  jobId?: string | undefined;
  userId?: string | undefined;
  type?: string | undefined;
  queue?: string | undefined;
  /** What the listener's key is limited to; null: all. Of what is no job's, such a key hears nothing. */
  queues?: string[] | null | undefined;
  types?: string[] | null | undefined;
}

/** The narrowest scope that holds all events of a filter: only what somebody watches is written down. */
export function scopeOf({ jobId, userId, type, queue }: EventFilter): string {
  if (jobId !== undefined) return `job:${jobId}`;
  if (userId !== undefined) return `user:${userId}`;
  if (type !== undefined) return `type:${type}`;
  if (queue !== undefined) return `queue:${queue}`;
  return 'all';
}

export function matches(filter: EventFilter, event: Pick<EventRow, 'jobId' | 'userId' | 'type' | 'queue'>): boolean {
  return (
    (filter.jobId === undefined || filter.jobId === event.jobId) &&
    (filter.userId === undefined || filter.userId === event.userId) &&
    (filter.type === undefined || filter.type === event.type) &&
    (filter.queue === undefined || filter.queue === event.queue) &&
    isAmong(filter.queues, event.queue) &&
    isAmong(filter.types, event.type)
  );
}

function isAmong(names: string[] | null | undefined, name: string | null): boolean {
  return names === undefined || names === null || (name !== null && names.includes(name));
}
