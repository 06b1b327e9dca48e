import type { CancelledJob } from '../state/notifications';
import { runnerTag } from '../state/notifications';
import type { RunnerRegistry } from '../state/runner-registry';
import type { DisconnectSignal } from './disconnect-signal';

/** The jobs whose leases a runner should check at once, or all of its jobs. */
export type Check = string[] | 'all';

interface Waiting {
  runnerId: string;
  wasDraining: boolean;
  end: (check: Check) => void;
}

/** How long a cancellation is kept for a runner that is between two waits, or waits at another coordinator first. */
const KEEP_MS = 60_000;
const SWEEP_EVERY_MS = 10_000;

/**
 * Heartbeats that wait to learn that a job of their runner was cancelled, or that the runner is to drain. They live in
 * memory and cost no statement. The answer is a hint, which the runner's next heartbeat verifies.
 */
export class WaitingHeartbeats {
  /** By runner tag, because notifications contain only tags. */
  private readonly waiting = new Map<string, Set<Waiting>>();
  private readonly untold = new Map<string, { jobId: string; atMs: number }[]>();
  private sweptAtMs = -Infinity;
  private isClosed = false;

  constructor(private readonly runners: Pick<RunnerRegistry, 'isDraining'>) {}

  /**
   * `isDraining`: the state that the runner knows; when it has changed, the wait resolves at once.
   * Resolves with what to check; empty when the time is over, the client disconnects, or this coordinator drains.
   */
  wait(
    runnerId: string,
    { waitMs, isDraining }: { waitMs: number; isDraining: boolean },
    disconnect: DisconnectSignal,
  ): Promise<Check> {
    const tag = runnerTag(runnerId);
    const untold = this.untold.get(tag);
    this.untold.delete(tag);
    if (untold !== undefined) return Promise.resolve(untold.map(({ jobId }) => jobId));
    const knowsBetter = this.runners.isDraining(runnerId) !== isDraining;
    if (knowsBetter || this.isClosed || disconnect.aborted) return Promise.resolve([]);
    return new Promise((resolve) => {
      const group = this.waiting.get(tag) ?? new Set();
      this.waiting.set(tag, group);
      const end = (check: Check): void => {
        clearTimeout(timer);
        disconnect.removeEventListener('abort', leave);
        group.delete(waiting);
        if (group.size === 0) this.waiting.delete(tag);
        resolve(check);
      };
      const leave = (): void => end([]);
      const timer = setTimeout(leave, waitMs);
      const waiting: Waiting = { runnerId, wasDraining: isDraining, end };
      group.add(waiting);
      disconnect.addEventListener('abort', leave);
    });
  }

  /** Tells runners that their running jobs were cancelled, once by each coordinator. */
  cancelled(jobs: readonly CancelledJob[]): void {
    const nowMs = performance.now();
    for (const { jobId, runner } of jobs) {
      const known = this.untold.get(runner) ?? [];
      this.untold.set(runner, [...known, { jobId, atMs: nowMs }]);
    }
    for (const tag of new Set(jobs.map(({ runner }) => runner))) {
      const group = this.waiting.get(tag);
      const jobIds = this.untold.get(tag)?.map(({ jobId }) => jobId);
      if (group === undefined || jobIds === undefined) continue;
      this.untold.delete(tag);
      for (const { end } of [...group]) end(jobIds);
    }
    if (nowMs - this.sweptAtMs >= SWEEP_EVERY_MS) this.sweep(nowMs);
  }

  /** More running jobs were cancelled than a notification can name: every waiting runner checks all of its jobs. */
  cancelledMany(): void {
    this.endWhere('all', () => true);
  }

  /** The set of draining runners has changed. */
  drainingChanged(): void {
    this.endWhere([], ({ runnerId, wasDraining }) => this.runners.isDraining(runnerId) !== wasDraining);
  }

  /** Ends all current and later waits. */
  close(): void {
    this.isClosed = true;
    this.endWhere([], () => true);
  }

  private endWhere(check: Check, isMeant: (waiting: Waiting) => boolean): void {
    for (const waiting of [...this.waiting.values()].flatMap((group) => [...group]))
      if (isMeant(waiting)) waiting.end(check);
  }

  private sweep(nowMs: number): void {
    this.sweptAtMs = nowMs;
    for (const [tag, jobs] of this.untold) {
      const fresh = jobs.filter(({ atMs }) => nowMs - atMs < KEEP_MS);
      if (fresh.length === 0) this.untold.delete(tag);
      else if (fresh.length < jobs.length) this.untold.set(tag, fresh);
    }
  }
}
