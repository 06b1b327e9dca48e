import { z } from 'zod';
import { jobStatus } from './jobs';
import { id, name, text, timestamp } from './primitives';

export const jobEventName = z.enum([
  'job.created',
  'job.claimed',
  'job.progress',
  'job.log',
  'job.completed',
  'job.failed',
  'job.retrying',
  'job.released',
  'job.cancelled',
  'job.requeued',
]);
export type JobEventName = z.infer<typeof jobEventName>;

/** What happens to other things than jobs: `alert.firing` and `alert.resolved`, and a webhook that was disabled. */
export const noticeName = z.enum(['alert.firing', 'alert.resolved', 'webhook.disabled']);
export type NoticeName = z.infer<typeof noticeName>;

/** The data of an event that is not of a job. */
export const notice = z.object({
  id: z.string(),
  name: noticeName,
  at: timestamp,
  userId: z.string().nullable(),
  details: z.record(z.string(), z.unknown()).nullable(),
});
export type Notice = z.infer<typeof notice>;

/** The data of one event: what happened to a job. */
export const jobEvent = z.object({
  /** Its place in the order of events; sent as `Last-Event-ID`, the stream goes on after it. */
  id: z.string(),
  name: jobEventName,
  at: timestamp,
  jobId: id,
  type: z.string(),
  queue: z.string(),
  userId: z.string().nullable(),
  status: jobStatus,
  attempt: z.int(),
  runnerId: z.string().nullable(),
  /** Of a progress: percent and message; of a log line: the line; of a failure: its code; of a retry: when. */
  details: z.record(z.string(), z.unknown()).nullable(),
});
export type JobEvent = z.infer<typeof jobEvent>;

/** For clients that cannot send headers, `lastEventId` stands for `Last-Event-ID`. */
const resumed = { lastEventId: text(100).optional() };
export const jobEventsQuery = z.strictObject(resumed);
export const eventsQuery = z.strictObject({
  queue: name.optional(),
  type: name.optional(),
  userId: text(200).optional(),
  jobId: id.optional(),
  ...resumed,
});
