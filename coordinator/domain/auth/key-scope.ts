import type { Context } from '../../context';
import { BatonError } from '../../errors';
import { findOutOfScope } from '../../store/leases';
import type { Caller } from './caller';

/**
 * Runs a verb for the items whose jobs are in the queues and types of the runner's key; to the key, other jobs do not
 * exist. Keys without limits cost nothing here.
 */
export async function withinKeyScope<Item extends { jobId: string }, Outcome>(
  context: Context,
  { queues, types }: Caller,
  items: Item[],
  verb: (items: Item[]) => Promise<(Outcome | BatonError)[]>,
): Promise<(Outcome | BatonError | undefined)[]> {
  if (queues === null && types === null) return verb(items);
  const rows = await findOutOfScope(
    context.db.vital,
    items.map((item) => item.jobId),
    { queues, types },
  );
  const outOfScope = new Set(rows.map((row) => row.id));
  const allowed = items.filter((item) => !outOfScope.has(item.jobId.toLowerCase()));
  const outcomes = allowed.length === 0 ? [] : await verb(allowed);
  const byItem = new Map(allowed.map((item, index) => [item, outcomes[index]]));
  return items.map((item) =>
    byItem.has(item) ? byItem.get(item) : new BatonError('not_found', 'There is no such job.'),
  );
}

/** Whether a job is outside the queues and types of a key. A job's queue and type never change. */
export async function isOutsideKeyScope(
  context: Context,
  { queues, types }: Pick<Caller, 'queues' | 'types'>,
  jobId: string,
): Promise<boolean> {
  return (await findOutOfScope(context.db, [jobId], { queues, types })).length > 0;
}
