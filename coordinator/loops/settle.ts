import type { Context } from '../context';
import { advanceLeftBehind } from '../domain/batches/advance';
import { type SettleCursor, settleMissed } from '../domain/jobs/settle';
import { Loop } from './loop';

/** Woken by the poller of pending work while jobs wait for others, or workflows or batches run. */
const INTERVAL_MS = 30_000;

/** Does the follow-up work of ended jobs where a coordinator died before doing it. */
export function settleLoop(context: Context): Loop {
  let after: SettleCursor = { parentId: null, workflowId: null };
  let afterBatch: string | null = null;
  return new Loop({
    name: 'settling of what was left behind',
    intervalMs: INTERVAL_MS,
    log: context.log,
    async round() {
      after = await settleMissed(context, after);
      afterBatch = await advanceLeftBehind(context, afterBatch);
      return false;
    },
  });
}
