import type { Context } from '../context';
import { pruneRollups, rollUp } from '../domain/analytics/roll-up';
import { Watermark } from '../domain/analytics/watermark';
import { Loop } from './loop';

const INTERVAL_MS = 10_000;
/** Old rollups are pruned every so many rounds. */
const ROUNDS = 30;

/** Adds finished jobs to the statistics. Every coordinator runs it; a lock lets one at a time count. */
export function rollupLoop(context: Context): Loop {
  const watermark = new Watermark();
  let round = 0;
  return new Loop({
    name: 'counting of what ended',
    intervalMs: INTERVAL_MS,
    log: context.log,
    async round() {
      const until = await watermark.advance(context.db);
      const hasMore = until !== null && (await rollUp(context, until));
      if (round++ % ROUNDS !== 0) return hasMore;
      return (await pruneRollups(context)) || hasMore;
    },
  });
}
