import type { Context } from '../../context';
import { endWorkflows as end } from '../../store/workflows/end';

/** running -> completed, failed or cancelled, for those of these workflows whose jobs have all finished. */
export async function endWorkflows(context: Context, ids: string[]): Promise<string[]> {
  const ended = await end(context.db, ids);
  const endedIds = ended.map(({ id }) => id);
  context.notifications.publishFinished(endedIds);
  // Jobs may wait for the end of a workflow.
  void context.followUps.dependants.add(endedIds);
  return [];
}
