import type { Context } from '../context';
import { release } from '../domain/jobs/release';
import { describeError } from '../logger';
import type { ClaimedRow } from '../store/jobs';

/** Jobs that were claimed for clients who have gone: they are given back. */
export class UndeliveredJobs {
  private readonly underWay = new Set<Promise<unknown>>();

  constructor(private readonly context: Context) {}

  giveBack(jobs: ClaimedRow[]): void {
    if (jobs.length === 0) return;
    const items = jobs.map((job) => ({ jobId: job.id, leaseToken: job.leaseToken, delayMs: 0 }));
    const work = release(this.context, items)
      .catch((error: unknown) =>
        this.context.log.warn(
          'jobs claimed for a runner that has gone wait for their lease to end',
          describeError(error),
        ),
      )
      .finally(() => this.underWay.delete(work));
    this.underWay.add(work);
  }

  /** Resolves when what was given back by now is. */
  async settled(): Promise<void> {
    await Promise.allSettled([...this.underWay]);
  }
}
