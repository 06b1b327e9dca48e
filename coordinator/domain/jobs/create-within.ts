import type { Context } from '../../context';
import { BatonError } from '../../errors';
import { type Executor, isUniqueViolation } from '../../store/db';
import { mapInTurns } from '../../turns';
import { announce, check, type CreateItem, outcomeOf, route, storeKeyed } from './create';
import type { Created, JobCandidate, Outcome } from './candidates/job-candidate';
import { type WaitingQuota, releaseQuota, reserveQuota } from './candidates/waiting-quota';
import { NOTHING_RESERVED } from './candidates/reservation';

/** Creates jobs in the transaction; each is accepted or refused on its own, as by `create`. Call it once. */
export type CreateIn = (items: CreateItem[]) => Promise<(Created | BatonError)[]>;

/**
 * Runs a transaction that creates jobs together with other writes, so that both commit or neither does. What follows a
 * create (notifications, events) happens after the commit.
 */
export async function createWithin<Result>(
  context: Context,
  body: (transaction: Executor, create: CreateIn) => Promise<Result>,
): Promise<Result> {
  let stored = NOTHING_STORED;
  let quota = NO_QUOTA;
  const run = (): Promise<Result> =>
    context.db.keyed.transaction((transaction) => {
      // An earlier try was rolled back.
      releaseQuota(context, quota);
      stored = NOTHING_STORED;
      quota = NO_QUOTA;
      return body(transaction, async (items) => {
        const checked = await mapInTurns(items, (item) => check(context, item));
        const candidates = checked.filter((one): one is JobCandidate => !(one instanceof BatonError));
        const refused = await route(context, candidates);
        quota = await reserveQuota(
          context,
          candidates.filter((one) => !refused.has(one)),
        );
        for (const [candidate, error] of quota.refused) refused.set(candidate, error);
        const accepted = candidates.filter((one) => !refused.has(one));
        stored = await storeKeyed(context, transaction, accepted, () => NOTHING_RESERVED);
        return checked.map((one) => (one instanceof BatonError ? one : (refused.get(one) ?? outcomeOf(stored, one))));
      });
    });
  try {
    // As in `create`: a manual retry may take back a unique key in between.
    const result = await run().catch((error: unknown) => {
      if (!isUniqueViolation(error, 'jobs_unique_idx')) throw error;
      return run();
    });
    releaseQuota(context, quota, stored);
    quota = NO_QUOTA;
    await announce(context, stored);
    return result;
  } finally {
    releaseQuota(context, quota);
  }
}

const NOTHING_STORED: ReadonlyMap<JobCandidate, Outcome> = new Map();
const NO_QUOTA: WaitingQuota = { refused: new Map(), reserved: new Map() };
