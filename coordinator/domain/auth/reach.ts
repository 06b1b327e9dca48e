import type { Context } from '../../context';
import { BatonError } from '../../errors';
import { outside } from '../../store/leases';
import type { Caller } from './caller';

/**
 * Runs a verb for those items whose jobs are in the queues and of the types that the runner's key names. For the others
 * the job does not exist. Keys without such limits cost nothing here.
 */
export async function withinReach<Item extends { jobId: string }, Outcome>(
  context: Context,
  { queues, types }: Caller,
  items: Item[],
  verb: (items: Item[]) => Promise<(Outcome | BatonError)[]>,
): Promise<(Outcome | BatonError | undefined)[]> {
  if (queues === null && types === null) return verb(items);
  const rows = await outside(
    context.db.vital,
    items.map((item) => item.jobId),
    { queues, types },
  );
  const beyond = new Set(rows.map((row) => row.id));
  const allowed = items.filter((item) => !beyond.has(item.jobId.toLowerCase()));
  const outcomes = allowed.length === 0 ? [] : await verb(allowed);
  const byItem = new Map(allowed.map((item, index) => [item, outcomes[index]]));
  return items.map((item) =>
    byItem.has(item) ? byItem.get(item) : new BatonError('not_found', 'There is no such job.'),
  );
}

/** Whether a job is beyond the queues and types of a key; a job's own never change. */
export async function isOutside(
  context: Context,
  { queues, types }: Pick<Caller, 'queues' | 'types'>,
  jobId: string,
): Promise<boolean> {
  return (await outside(context.db, [jobId], { queues, types })).length > 0;
}
