import type { Context } from '../../context';
import { endWorkflows as end } from '../../store/workflows/end';

/** running -> completed, failed or cancelled, of those of these workflows whose jobs have all finished. */
export async function endWorkflows(context: Context, ids: string[]): Promise<string[]> {
  const ended = await end(context.db, ids);
  const endedIds = ended.map(({ id }) => id);
  context.notifications.publishFinished(endedIds);
  // Jobs may have released themselves until it ends.
  void context.followUps.dependants.add(endedIds);
  return [];
}
