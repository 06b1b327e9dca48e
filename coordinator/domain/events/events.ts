import type { JobStatus, TickOutcome } from '@baton/runner-sdk/protocol';
import type { Moved } from '../../store/jobs';

export type JobEventName =
  | 'job.created'
  | 'job.claimed'
  | 'job.completed'
  | 'job.failed'
  | 'job.retrying'
  | 'job.released'
  | 'job.cancelled'
  | 'job.requeued'
  | 'job.unblocked';

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

/** What became of a tick of a schedule, once it is committed. */
export interface TickFact {
  outcome: TickOutcome;
  /** How long after it should have fired it did; null: it had waited for another job. */
  lateMs: number | null;
}

/** Everything that only tells the world (log, metrics, streams) listens here. */
export class Events {
  private readonly listeners: ((events: JobEvent[]) => void)[] = [];
  private readonly tickListeners: ((ticks: TickFact[]) => void)[] = [];

  /** @param onError told what a listener threw */
  constructor(private readonly onError: (error: unknown) => void) {}

  on(listener: (events: JobEvent[]) => void): void {
    this.listeners.push(listener);
  }

  onTicks(listener: (ticks: TickFact[]) => void): void {
    this.tickListeners.push(listener);
  }

  /** Never throws: what is told is committed, and a call that failed now would be told as refused, and be tried again. */
  tell(events: JobEvent[]): void {
    this.pass(this.listeners, events);
  }

  /** The same of ticks of schedules. */
  tellTicks(ticks: TickFact[]): void {
    this.pass(this.tickListeners, ticks);
  }

  private pass<Fact>(listeners: ((facts: Fact[]) => void)[], facts: Fact[]): void {
    if (facts.length === 0) return;
    for (const listener of listeners) {
      try {
        listener(facts);
      } catch (error) {
        this.onError(error);
      }
    }
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
