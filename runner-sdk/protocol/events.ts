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
  'job.unblocked',
  'gate.waiting',
]);
export type JobEventName = z.infer<typeof jobEventName>;

/**
 * Events that are not about jobs: alerts, a webhook that was disabled, ends of batches and workflows, and
 * schedules, of which `schedule.refused` says that a tick could not create its job.
 */
export const noticeName = z.enum([
  'alert.firing',
  'alert.resolved',
  'webhook.disabled',
  'schedule.created',
  'schedule.updated',
  'schedule.paused',
  'schedule.resumed',
  'schedule.deleted',
  'schedule.refused',
  'batch.completed',
  'batch.failed',
  'batch.cancelled',
  'workflow.completed',
  'workflow.failed',
  'workflow.cancelled',
]);
export type NoticeName = z.infer<typeof noticeName>;

/** The data of an event that is not about a job. */
export const notice = z.object({
  id: z.string().describe('Position in the order of events; sent as `Last-Event-ID`, the stream resumes after it.'),
  name: noticeName.describe('What happened.'),
  at: timestamp.describe('When it happened.'),
  userId: z.string().nullable().describe('The user that it concerns; null: the installation.'),
  details: z
    .record(z.string(), z.unknown())
    .nullable()
    .describe('What else is known of it; the fields depend on `name`. null: nothing.'),
});
export type Notice = z.infer<typeof notice>;

/** The data of one event: what happened to a job. */
export const jobEvent = z.object({
  id: z.string().describe('Position in the order of events; sent as `Last-Event-ID`, the stream resumes after it.'),
  name: jobEventName.describe('What happened.'),
  at: timestamp.describe('When it happened.'),
  jobId: id.describe('Id of the job.'),
  type: z.string().describe('Type of the job.'),
  queue: z.string().describe('Queue of the job.'),
  userId: z.string().nullable().describe('The user that the job belongs to; null: none.'),
  status: jobStatus.describe('Status of the job after the event.'),
  attempt: z.int().describe('Number of the latest attempt; 0: none yet.'),
  runnerId: z.string().nullable().describe('The runner of the attempt; null: none.'),
  details: z
    .record(z.string(), z.unknown())
    .nullable()
    .describe(
      'For progress: percent and message. For a log line: the line. For a failure: its code. For a retry: when. null: nothing.',
    ),
});
export type JobEvent = z.infer<typeof jobEvent>;

/** For clients that cannot set headers, `lastEventId` replaces `Last-Event-ID`. */
const resumed = {
  lastEventId: text(100)
    .optional()
    .describe('Same as the header `Last-Event-ID`, for clients that cannot send headers.'),
};
export const jobEventsQuery = z.strictObject(resumed);
export const eventsQuery = z.strictObject({
  queue: name.optional().describe('Only events of jobs in this queue.'),
  type: name.optional().describe('Only events of jobs of this type.'),
  userId: text(200).optional().describe("Only events of this user's jobs."),
  jobId: id.optional().describe('Only events of this job.'),
  ...resumed,
});
