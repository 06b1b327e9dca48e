import type { Context } from '../context';
import { collectObjects } from '../domain/objects/collect';
import { Loop } from './loop';

const INTERVAL_MS = 60_000;
const REST_MS = 100;

/** Deletes objects that no job names any more. Every coordinator runs it; row locks keep the coordinators apart. */
export function objectsLoop(context: Context): Loop {
  const loop: Loop = new Loop({
    name: 'objects',
    intervalMs: INTERVAL_MS,
    log: context.log,
    async round() {
      if (await collectObjects(context)) loop.wake(REST_MS);
      return false;
    },
  });
  return loop;
}
