import type { Context } from '../context';
import { cancelExpired, failLost } from '../domain/jobs/lost';
import { Loop } from './loop';

/** Finds lost leases, passed deadlines and expired jobs. Every coordinator runs it; row locks keep them apart. */
export function timeoutMonitor(context: Context, intervalMs: number): Loop {
  return new Loop({
    name: 'timeout monitor',
    intervalMs,
    log: context.log,
    async round() {
      const hasMoreLost = await failLost(context);
      const hasMoreExpired = await cancelExpired(context);
      return hasMoreLost || hasMoreExpired;
    },
  });
}
