import type { EventRow } from '../../store/events';

/** The events that a listener wants; fields that are left out do not limit them. */
export interface EventFilter {
  jobId?: string | undefined;
  userId?: string | undefined;
  type?: string | undefined;
  queue?: string | undefined;
  /** The limits of the listener's key; null: none. A limited key gets no events that are not about jobs. */
  queues?: string[] | null | undefined;
  types?: string[] | null | undefined;
}

/** The narrowest scope that contains all events of a filter: only watched events are stored. */
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
