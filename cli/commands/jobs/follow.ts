import type { CommandUnknownOpts } from '@commander-js/extra-typings';
import type { Client, JobEvent, LogLevel, LogLineView } from '@baton/runner-sdk';
import type { Cli } from '../../cli';
import { Ending } from '../../exit-codes';
import { addExamples } from '../../examples';
import { choice } from '../../input/choices';
import { parseDuration } from '../../input/durations';
import { parseWhole } from '../../input/values';
import { lookOf } from '../../terminal/style';
import { clean, jsonText } from '../../terminal/text';
import { eventLine } from '../event-line';
import { waitFor } from './create';

const LEVELS = ['debug', 'info', 'warn', 'error'] as const satisfies readonly LogLevel[];

/** `jobs watch`, `wait` and `logs`. */
export function addFollowCommands(jobs: CommandUnknownOpts, cli: Cli): void {
  const watch = jobs
    .command('watch')
    .description('print what happens to a job until it has finished; exit code 7 if it did not complete')
    .argument('<id>', 'id of the job')
    .action(async (id) => {
      const client = await cli.client();
      const signal = cli.listenForSignals();
      let last: JobEvent | undefined;
      for await (const event of client.watch(id, { signal })) {
        if (cli.isJson) cli.terminal.jsonLine(event);
        else cli.terminal.line(eventLine(cli, event));
        last = event;
      }
      if (last?.name !== 'job.completed') throw new Ending('unsuccessful');
    });
  addExamples(watch, [['baton jobs watch 01920f3e-7c11-7d1a-9a53-2f4c8f6f1d10', 'Follow a job to its end']]);

  const wait = jobs
    .command('wait')
    .description('wait until a job has finished, and print it; exit code 7 if it did not complete')
    .argument('<id>', 'id of the job')
    .option('--timeout <duration>', 'wait no longer than this (exit code 9)', parseDuration)
    .action(async (id, { timeout }) => {
      const client = await cli.client();
      await waitFor(cli, client, await client.get(id), timeout);
    });
  addExamples(wait, [
    ['baton jobs wait 01920f3e-7c11-7d1a-9a53-2f4c8f6f1d10 --timeout 10m', 'In a script, until the job is done'],
  ]);

  const logs = jobs
    .command('logs')
    .description("print a job's log lines, oldest first")
    .argument('<id>', 'id of the job')
    .option('-f, --follow', 'go on until the job has finished')
    .addOption(choice('--level <level>', 'only lines of at least this severity', LEVELS))
    .option('--after <seq>', 'only lines after this seq', parseWhole(0, Number.MAX_SAFE_INTEGER))
    .action(async (id, { follow, level, after }) => {
      const client = await cli.client();
      const query = { after, level };
      if (follow === true) await followLogs(cli, client, id, query);
      else await printLogs(cli, client, id, query);
    });
  addExamples(logs, [
    ['baton jobs logs 01920f3e-7c11-7d1a-9a53-2f4c8f6f1d10 --follow', 'As they are written'],
    ['baton jobs logs 01920f3e-7c11-7d1a-9a53-2f4c8f6f1d10 --level warn', 'Only warnings and errors'],
  ]);
}

interface LogQuery {
  after: number | undefined;
  level: LogLevel | undefined;
}

/** Each event triggers a read; the lines come from the log, so that none is missed or repeated. */
async function followLogs(cli: Cli, client: Client, id: string, query: LogQuery): Promise<void> {
  const signal = cli.listenForSignals();
  let after = await printLogs(cli, client, id, query);
  for await (const _event of client.watch(id, { signal }))
    after = await printLogs(cli, client, id, { ...query, after });
}

/** Returns the `seq` of the last line. */
async function printLogs(cli: Cli, client: Client, id: string, query: LogQuery): Promise<number | undefined> {
  let { after } = query;
  for (;;) {
    const page = await client.logs(id, { ...query, after, limit: 500 });
    for (const line of page.items) {
      if (cli.isJson) cli.terminal.jsonLine(line);
      else cli.terminal.line(logText(cli, line));
      after = line.seq;
    }
    if (page.nextCursor === null) return after;
  }
}

function logText(cli: Cli, { at, level, message, fields }: LogLineView): string {
  const { style } = cli.terminal;
  const rest = fields === null || fields === undefined ? '' : ` ${style('dim', jsonText(fields))}`;
  return `${style('dim', at)} ${style(lookOf(level), level.padEnd(5))} ${clean(message)}${rest}`;
}
