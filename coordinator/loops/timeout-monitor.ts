import type { Context } from '../context';
import { BlindTime } from '../domain/jobs/blind-time';
import { cancelExpired, failLost } from '../domain/jobs/lost';
import { findOverdue } from '../store/leases';
import { Loop } from './loop';

const LEAST_BLIND_MS = 3000;

/**
 * Finds lost leases, passed deadlines and expired jobs. Every coordinator runs it; row locks keep them apart. After a time
 * in which it did not see the database, leases are left the time of a heartbeat more.
 */
export function timeoutMonitor(context: Context, intervalMs: number, startsBlind: boolean): Loop {
  const blindTime = new BlindTime(Math.max(LEAST_BLIND_MS, 2 * intervalMs), startsBlind);
  return new Loop({
    name: 'timeout monitor',
    intervalMs,
    log: context.log,
    async round() {
      const overdue = await findOverdue(context.db);
      const mostLeaseMs = blindTime.look();
      const hasMoreLost = overdue.isLost && (await failLost(context, mostLeaseMs));
      const hasMoreExpired = overdue.isExpired && (await cancelExpired(context));
      return hasMoreLost || hasMoreExpired;
    },
  });
}
