import type { Context } from '../context';
import { workOnNext } from '../domain/jobs/in-bulk';
import { Loop } from './loop';

/** Works on bulk operations that were asked for in the background. */
export function bulkLoop(context: Context): Loop {
  return new Loop({ name: 'work on bulk operations', intervalMs: 2000, log: context.log, round: () => workOnNext(context) });
}
