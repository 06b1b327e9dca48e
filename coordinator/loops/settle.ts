import type { Context } from '../context';
import { advanceLeftBehind } from '../domain/batches/advance';
import { type LeftBehind, settleLeftBehind } from '../domain/jobs/settle';
import { Loop } from './loop';

/** The poll of what waits in the tables wakes it, while jobs wait for others, or workflows or batches run. */
const INTERVAL_MS = 30_000;

/** Does what ought to have followed an end, where a coordinator died in between. */
export function settleLoop(context: Context): Loop {
  let after: LeftBehind = { parentId: null, workflowId: null };
  let afterBatch: string | null = null;
  return new Loop({
    name: 'settling of what was left behind',
    intervalMs: INTERVAL_MS,
    log: context.log,
    async round() {
      after = await settleLeftBehind(context, after);
      afterBatch = await advanceLeftBehind(context, afterBatch);
      return false;
    },
  });
}
