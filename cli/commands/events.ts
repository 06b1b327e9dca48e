import type { CommandUnknownOpts } from '@commander-js/extra-typings';
import type { EventFilter } from '@baton/runner-sdk';
import type { Cli } from '../cli';
import { addExamples } from '../examples';
import { collectNames } from '../input/values';
import { eventLine } from './event-line';

/** `baton events` */
export function addEventsCommand(program: CommandUnknownOpts, cli: Cli): void {
  const events = program
    .command('events')
    .description('print what happens, as it happens, until Ctrl-C; goes on by itself when the connection breaks')
    .option('-f, --follow', 'as without it: events are always followed')
    .option('-Q, --queue <queue>', 'only of jobs in this queue')
    .option('-t, --type <type>', 'only of jobs of this type')
    .option('-u, --user <userId>', "only of this user's jobs")
    .option('--job <id>', 'only of this job')
    .option('-e, --event <name>', 'only these events, such as job.failed; may be repeated', collectNames)
    .option('--since <eventId>', 'go on after this event, which was the last one seen')
    .action(async ({ queue, type, user, job, event: names, since }) => {
      const client = await cli.client();
      const filter: EventFilter = {
        ...(queue !== undefined && { queue }),
        ...(type !== undefined && { type }),
        ...(user !== undefined && { userId: user }),
        ...(job !== undefined && { jobId: job }),
      };
      const signal = cli.listenForSignals();
      const onGap = () => cli.note('Events may be missing: the connection was away for longer than they are kept.');
      for await (const event of client.events(filter, { signal, lastEventId: since, onGap })) {
        if (names !== undefined && !names.includes(event.name)) continue;
        if (cli.isJson) cli.terminal.jsonLine(event);
        else cli.terminal.line(eventLine(cli, event));
      }
    });
  addExamples(events, [
    ['baton events --queue mail', 'Everything about one queue'],
    ['baton events --event job.failed --json', 'Failures, one JSON value a line, for another program'],
  ]);
}
