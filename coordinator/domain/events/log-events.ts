import type { Logger } from '../../logger';
import type { Events, JobEvent } from './events';

/** All log lines about jobs are written here, from events. */
export function logEvents(events: Events, log: Logger): void {
  const tellsAll = log.isDebugEnabled();
  events.on((batch) => {
    for (const event of batch) {
      if (event.name === 'job.failed') log.warn(event.name, factsOf(event));
      else if (tellsAll) log.debug(event.name, factsOf(event));
    }
  });
}

function factsOf({ name: _name, ...facts }: JobEvent): Omit<JobEvent, 'name'> {
  return facts;
}
