import type { Context } from '../context';
import { Loop } from './loop';

const INTERVAL_MS = 1000;
/** Known runners are written again every so many rounds. */
const ROUNDS = 10;

/** Writes which runners called, new ones soon and the others in batches, and reads which are draining. */
export function runnerRegistryLoop(context: Context): Loop {
  let round = 0;
  return new Loop({
    name: 'runner registry',
    intervalMs: INTERVAL_MS,
    log: context.log,
    async round() {
      round += 1;
      if (round % ROUNDS === 0 || context.runnerRegistry.hasNewcomers()) await context.runnerRegistry.writeSeen();
      if (round % ROUNDS === 1)
        await Promise.all([
          context.runnerRegistry.readDraining(),
          context.queueSettings.read(),
          context.jobIds.adjust(context.db),
          context.publishedTypes.read(),
        ]);
      return false;
    },
  });
}
