import type { Context } from '../../context';
import { describeError } from '../../logger';
import * as store from '../../store/objects/uses';

const BATCH = 200;

/**
 * Deletes objects that no job names any more: first uses whose jobs are gone, then what has no use. Objects are kept
 * for an hour after they were last named, because a job is stored after its object. Returns whether there may be more.
 */
export async function collectObjects(context: Context): Promise<boolean> {
  const { objects, db, log } = context;
  if (objects === null) return false;
  const checked = await store.checkUses(db, BATCH);
  const unused = await store.takeUnused(db, BATCH);
  const deleted: string[] = [];
  for (const id of unused) {
    try {
      await objects.delete(id);
      deleted.push(id);
    } catch (error) {
      // It is taken again after a while.
      log.warn('an object could not be deleted', { object: id, ...describeError(error) });
      break;
    }
  }
  await store.remove(db, deleted);
  return checked === BATCH || (unused.length === BATCH && deleted.length === BATCH);
}
