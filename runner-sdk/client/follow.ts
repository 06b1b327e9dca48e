import { closable, readFrames, type EventStreamOptions, type StreamSource } from './event-stream';
import type { Job, JobEvent, JobEventName, Notice } from '../protocol';

/** Events of jobs, and for keys that may see them also of alerts and webhooks; `name` tells them apart. */
export type ClientEvent = JobEvent | Notice;

/** The events of a filter, from now on or after the last one seen, until the loop is left. */
export function followEvents(source: StreamSource, options: EventStreamOptions): AsyncGenerator<ClientEvent, void> {
  return closable(async function* (left) {
    for await (const { event, data } of readFrames(source, options, left)) {
      if (event === 'gap') await options.onGap?.();
      if (!isOfStream(event)) yield data as ClientEvent;
    }
  });
}

/** The events of a job until it has finished; for a job that has already finished, only the event that says so. */
export function followJob(
  source: StreamSource,
  options: EventStreamOptions,
  read: () => Promise<Job>,
): AsyncGenerator<JobEvent, void> {
  return closable(async function* (left) {
    for await (const { event, data } of readFrames(source, options, left)) {
      if (event === 'gap') await options.onGap?.();
      // It may have finished before the stream began, or while it was away.
      const told = isOfStream(event) ? endOf(await read()) : (data as JobEvent);
      if (told === null) continue;
      yield told;
      if (ENDINGS.has(told.name)) return;
    }
  });
}

const ENDINGS = new Set<JobEventName>(['job.completed', 'job.failed', 'job.cancelled']);

function isOfStream(event: string): boolean {
  return event === 'ready' || event === 'gap';
}

function endOf(job: Job): JobEvent | null {
  const name = `job.${job.status}` as JobEventName;
  if (!ENDINGS.has(name)) return null;
  const { id: jobId, type, queue, userId, status, attempt, runnerId, finishedAt, updatedAt } = job;
  return {
    id: '',
    name,
    at: finishedAt ?? updatedAt,
    jobId,
    type,
    queue,
    userId,
    status,
    attempt,
    runnerId,
    details: null,
  };
}
