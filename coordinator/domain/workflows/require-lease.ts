import type { Context } from '../../context';
import { BatonError } from '../../errors';
import { leaseOwner } from '../../store/workflows/insert';
import { type Caller, visibleUser } from '../auth/caller';
import { withinKeyScope } from '../auth/key-scope';
import { leaseLost } from '../jobs/stale-report';

/** The lease of a running job, in whose name a runner acts. */
export interface Lease {
  jobId: string;
  leaseToken: string;
}

/**
 * The user of the job that runs under this lease; null: it has none.
 * @throws {BatonError} `not_found`, `lease_lost`
 */
export async function requireLease(context: Context, caller: Caller, lease: Lease): Promise<string | null> {
  const [owner] = await withinKeyScope(context, caller, [lease], async (items) =>
    Promise.all(items.map((item) => leaseOwner(context.db, item).then((found) => found ?? leaseLost()))),
  );
  if (owner === undefined || owner instanceof BatonError) throw owner ?? leaseLost();
  const own = visibleUser(caller);
  if (own !== null && own !== owner.userId) throw leaseLost();
  return owner.userId;
}
