import type { Context } from '../context';
import { Loop } from './loop';

const INTERVAL_MS = 1000;
/** Runners that are known already are written down every so many rounds. */
const ROUNDS = 10;

/** Writes down which runners were heard, newcomers soon and the others in batches, and reads which are to drain. */
export function rosterLoop(context: Context): Loop {
  let round = 0;
  return new Loop({
    name: 'roster of runners',
    intervalMs: INTERVAL_MS,
    log: context.log,
    async round() {
      round += 1;
      if (round % ROUNDS === 0 || context.roster.hasNewcomers()) await context.roster.writeSeen();
      if (round % ROUNDS === 1) await Promise.all([context.roster.readDraining(), context.queues.read()]);
      return false;
    },
  });
}
