import type { Context } from '../../context';
import { BatonError } from '../../errors';
import * as store from '../../store/runners';
import * as views from '../../store/views/runners';

/**
 * Tells a runner to take no more work, or to take work again. It hears it on its next call, on any coordinator.
 * @throws {BatonError} `not_found` for a runner that was never heard.
 */
export async function setDraining(context: Context, runnerId: string, draining: boolean): Promise<views.RunnerRow> {
  await context.roster.writeSeen();
  const changed = await store.setDraining(context.db, runnerId, draining);
  const runner = changed.length === 0 ? null : await views.get(context.db, runnerId);
  if (runner === null) throw new BatonError('not_found', `No runner with id ${runnerId} was ever heard. GET /runners lists them.`);
  await context.roster.readDraining();
  context.hints.giveRoster();
  return runner;
}
