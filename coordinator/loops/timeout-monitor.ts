import type { Context } from '../context';
import { OutageGrace } from '../domain/jobs/outage-grace';
import { expireJobs, expireLeases } from '../domain/jobs/expire-leases';
import { findOverdue } from '../store/leases';
import { Loop } from './loop';

const MIN_OUTAGE_MS = 3000;

/**
 * Finds expired leases, passed deadlines and expired jobs. Every coordinator runs it; row locks keep the coordinators
 * apart. After a database outage each lease gets the time of one more heartbeat.
 */
export function timeoutMonitor(context: Context, intervalMs: number, startsCutOff: boolean): Loop {
  const grace = new OutageGrace(Math.max(MIN_OUTAGE_MS, 2 * intervalMs), startsCutOff);
  return new Loop({
    name: 'timeout monitor',
    intervalMs,
    log: context.log,
    async round() {
      const overdue = await findOverdue(context.db);
      const mostLeaseMs = grace.recordContact();
      const hasMoreLeases = overdue.hasExpiredLeases && (await expireLeases(context, mostLeaseMs));
      const hasMoreJobs = overdue.hasExpiredJobs && (await expireJobs(context));
      return hasMoreLeases || hasMoreJobs;
    },
  });
}
