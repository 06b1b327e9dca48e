import type { Context } from '../context';
import { cancelExpired, failLost } from '../domain/jobs/lost';
import { findOverdue } from '../store/leases';
import { Loop } from './loop';

/** Finds lost leases, passed deadlines and expired jobs. Every coordinator runs it; row locks keep them apart. */
export function timeoutMonitor(context: Context, intervalMs: number): Loop {
  return new Loop({
    name: 'timeout monitor',
    intervalMs,
    log: context.log,
    async round() {
      const { isLost, isExpired } = await findOverdue(context.db);
      const hasMoreLost = isLost && (await failLost(context));
      const hasMoreExpired = isExpired && (await cancelExpired(context));
      return hasMoreLost || hasMoreExpired;
    },
  });
}
