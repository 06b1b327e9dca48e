import type { Context } from '../../context';
import { BatonError } from '../../errors';
import * as store from '../../store/runners';
import * as views from '../../store/views/runners';
import { audited } from '../audit/record';
import type { Actor } from '../auth/caller';

/**
 * Tells a runner to take no more jobs, or to take jobs again. It learns so on its next call, to any coordinator.
 * @throws {BatonError} `not_found` for a runner that never called
 */
export async function setDraining(
  context: Context,
  by: Actor,
  runnerId: string,
  draining: boolean,
): Promise<views.RunnerRow> {
  await context.runnerRegistry.writeSeen();
  const changed = await audited(
    context,
    by,
    (db) => store.setDraining(db, runnerId, draining),
    (rows) => rows.map(() => ({ action: draining ? 'runner.drained' : 'runner.resumed', target: runnerId })),
  );
  const runner = changed.length === 0 ? null : await views.get(context.db, runnerId);
  if (runner === null)
    throw new BatonError('not_found', `No runner with id ${runnerId} was ever heard. GET /runners lists them.`);
  await context.runnerRegistry.readDraining();
  context.notifications.publishRunners();
  return runner;
}
