import type { Logger } from '../../logger';
import type { Events } from './events';

/** All that is logged about jobs is logged here, from what was told as events. */
export function logEvents(events: Events, log: Logger): void {
  events.on((batch) => {
    for (const { name, ...rest } of batch) {
      if (name === 'job.failed') log.warn(name, rest);
      else log.debug(name, rest);
    }
  });
}
