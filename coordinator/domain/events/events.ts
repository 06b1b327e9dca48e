import { EventEmitter } from 'node:events';
import type { JobStatus } from '@baton/runner-sdk/protocol';
import type { Moved } from '../../store/jobs';

export type JobEventName =
  | 'job.created'
  | 'job.claimed'
  | 'job.completed'
  | 'job.failed'
  | 'job.retrying'
  | 'job.released'
  | 'job.cancelled'
  | 'job.requeued';

/** What happened to one job, told once it is committed. */
export interface JobEvent {
  name: JobEventName;
  jobId: string;
  type: string;
  queue: string;
  userId: string | null;
  status: JobStatus;
  attempt: number;
  runnerId: string | null;
  /** For a retry: when; for a failure: its code. Never arguments, results or texts of errors. */
  details?: Record<string, string | number> | undefined;
  /** Of a claim: how long the job had been due. */
  waitMs?: number | undefined;
  /** Of the end of an attempt: how long it ran. */
  runMs?: number | null | undefined;
}

/** Everything that only tells the world (log, metrics, streams) listens here. */
export class Events {
  private readonly emitter = new EventEmitter<{ jobs: [JobEvent[]] }>().setMaxListeners(0);

  on(listener: (events: JobEvent[]) => void): void {
    this.emitter.on('jobs', listener);
  }

  tell(events: JobEvent[]): void {
    if (events.length > 0) this.emitter.emit('jobs', events);
  }
}

export function jobEvent(
  name: JobEventName,
  job: Pick<Moved, 'id' | 'type' | 'queue' | 'userId' | 'status' | 'attempt' | 'runnerId'>,
  details?: JobEvent['details'],
  timing: Pick<JobEvent, 'waitMs' | 'runMs'> = {},
): JobEvent {
  const { id: jobId, type, queue, userId, status, attempt, runnerId } = job;
  return { name, jobId, type, queue, userId, status, attempt, runnerId, details, ...timing };
}
