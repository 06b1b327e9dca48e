import type { Context } from '../context';
import { release } from '../domain/jobs/release';
import { describeError } from '../logger';
import type { ClaimedRow } from '../store/jobs';

/**
 * Releases jobs that were claimed for clients that have disconnected, so that they need not wait for their leases to
 * expire.
 */
export class UndeliveredJobs {
  private readonly releases = new Set<Promise<unknown>>();

  constructor(private readonly context: Context) {}

  giveBack(jobs: ClaimedRow[]): void {
    if (jobs.length === 0) return;
    const items = jobs.map((job) => ({ jobId: job.id, leaseToken: job.leaseToken, delayMs: 0 }));
    const released = release(this.context, items)
      .catch((error: unknown) =>
        this.context.log.warn(
          'jobs claimed for a client that disconnected are stuck until their leases expire',
          describeError(error),
        ),
      )
      .finally(() => this.releases.delete(released));
    this.releases.add(released);
  }

  /** Resolves when all jobs given back so far are released. */
  async settled(): Promise<void> {
    await Promise.allSettled([...this.releases]);
  }
}
