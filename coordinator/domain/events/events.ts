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

/** What happened to one job, published after the commit. */
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
  /** For a claim: how long the job was due, in milliseconds. */
  waitMs?: number | undefined;
  /** For the end of an attempt: how long it ran, in milliseconds. */
  runMs?: number | null | undefined;
}

/** The outcome of a schedule's tick, published after the commit. */
export interface TickFact {
  outcome: TickOutcome;
  /** How late it fired, in milliseconds; null: it had waited for another job. */
  lateMs: number | null;
}

/** Passes on what happened to what only reports it (log, metrics, streams). */
export class Events {
  private readonly listeners: ((events: JobEvent[]) => void)[] = [];
  private readonly tickListeners: ((ticks: TickFact[]) => void)[] = [];

  /** @param onError receives what a listener threw */
  constructor(private readonly onError: (error: unknown) => void) {}

  on(listener: (events: JobEvent[]) => void): void {
    this.listeners.push(listener);
  }

  onTicks(listener: (ticks: TickFact[]) => void): void {
    this.tickListeners.push(listener);
  }

  /**
   * Never throws: the events are committed, and a call that failed now would be reported as refused, and be retried.
   */
  tell(events: JobEvent[]): void {
    this.pass(this.listeners, events);
  }

  /** The same for ticks of schedules. */
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
