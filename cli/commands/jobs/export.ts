import { once } from 'node:events';
import { createWriteStream, renameSync, rmSync } from 'node:fs';
import type { CommandUnknownOpts } from '@commander-js/extra-typings';
import type { Job } from '@baton/runner-sdk';
import type { Cli } from '../../cli';
import { addExamples } from '../../examples';
import { Failure } from '../../exit-codes';
import { choice } from '../../input/choices';
import { addJobFilter, jobFilterOf } from '../../input/job-filter';
import { collectNames } from '../../input/values';
import { countText } from '../../terminal/numbers';
import { StatusLine } from '../../terminal/status-line';
import { jsonText } from '../../terminal/text';

const FORMATS = ['ndjson', 'csv'] as const;
const BUDGET_MS = 60_000;

/** Columns of a CSV file unless others are named. */
const COLUMNS = [
  ...['id', 'type', 'queue', 'status', 'priority', 'userId', 'arguments', 'result', 'error', 'reason', 'tags'],
  ...['attempt', 'failures', 'maxAttempts', 'runAt', 'createdAt', 'startedAt', 'finishedAt', 'runnerId'],
];

/** Those fields of a job that a create takes, so that `jobs import` can read them. */
const CREATE_FIELDS = [
  ...['type', 'queue', 'priority', 'arguments', 'runAt', 'timeoutMs', 'maxAttempts', 'retry', 'uniqueKey'],
  ...['concurrencyKey', 'orderKey', 'expiresAt', 'requires', 'prefers', 'tags', 'metadata', 'userId'],
] as const;

/** Any JSON value, so that text in them is quoted too. */
const JSON_COLUMNS: ReadonlySet<string> = new Set(['arguments', 'result', 'metadata']);

/** `jobs export` */
export function addExportCommand(jobs: CommandUnknownOpts, cli: Cli): void {
  const command = jobs
    .command('export')
    .description('write all jobs that match a filter as NDJSON or CSV, newest first, without holding them in memory')
    .option(
      '-o, --output <file>',
      'write to this file, which is there only when all is in it; default: standard output',
    )
    .addOption(choice('--format <format>', 'default: by the name of the file, else ndjson', FORMATS))
    .option('--columns <names>', 'fields to write, with commas; deeper ones as arguments.to', collectNames)
    .option('--as-creates', 'write what POST /jobs takes instead of all fields, for jobs import elsewhere')
    .option('--escape-formulas', 'put an apostrophe before CSV cells that a spreadsheet would compute')
    .action(async ({ output, format, columns, asCreates, escapeFormulas }, command) => {
      if (columns !== undefined && asCreates === true)
        throw new Failure('usage', '--columns and --as-creates stand beside each other', 'Give one of the two.');
      const chosen = format ?? (/\.csv$/i.test(output ?? '') ? 'csv' : 'ndjson');
      const filter = await jobFilterOf(cli, command);
      const sink = openSink(cli, output);
      const signal = cli.listenForSignals();
      const status = new StatusLine(cli);
      const client = await cli.client(BUDGET_MS);
      let count = 0;
      try {
        const lineOf =
          chosen === 'csv'
            ? await csvLines(
                columns ?? (asCreates === true ? [...CREATE_FIELDS] : COLUMNS),
                escapeFormulas === true,
                sink,
              )
            : ndjsonLines(columns, asCreates === true);
        for await (const job of client.listAll(filter)) {
          signal.throwIfAborted();
          await sink.write(lineOf(job));
          count += 1;
          status.draw(() => `${countText(count)} jobs`);
        }
        await sink.finish();
      } catch (error) {
        sink.discard();
        throw error;
      } finally {
        status.clear();
      }
      cli.note(`${countText(count)} jobs were written${output === undefined ? '' : ` to ${output}`}.`);
    });
  addJobFilter(command);
  addExamples(command, [
    ['baton jobs export --status failed --finished-after 7d -o failed.csv', "A week's failures, for a spreadsheet"],
    ['baton jobs export --columns id,arguments.to,result --format csv', 'Some fields, to standard output'],
    ['baton jobs export --queue mail --status pending --as-creates -o mail.ndjson', 'To import them elsewhere'],
  ]);
}

interface Sink {
  write(text: string): Promise<void>;
  finish(): Promise<void>;
  /** Leaves no half of a file. */
  discard(): void;
}

function openSink(cli: Cli, path: string | undefined): Sink {
  const part = `${path}.${process.pid}.part`;
  const stream: NodeJS.WritableStream = path === undefined ? cli.terminal.streams.stdout : createWriteStream(part);
  let fault: Error | undefined;
  if (path !== undefined) stream.on('error', (error: Error) => (fault ??= error));
  const requireWorking = () => {
    if (fault !== undefined) throw new Failure('internal', `${path} cannot be written: ${fault.message}`);
  };
  return {
    async write(text) {
      requireWorking();
      // A slow reader is waited for, so that what it has not read is not kept in memory.
      if (!stream.write(text)) await once(stream, 'drain').catch(requireWorking);
    },
    async finish() {
      if (path === undefined) return;
      stream.end();
      await once(stream, 'close');
      requireWorking();
      renameSync(part, path);
    },
    discard() {
      if (path === undefined) return;
      stream.end();
      rmSync(part, { force: true });
    },
  };
}

function ndjsonLines(columns: readonly string[] | undefined, asCreates: boolean): (job: Job) => string {
  return (job) => {
    const value =
      columns !== undefined
        ? Object.fromEntries(columns.map((path) => [path, valueAt(job, path) ?? null]))
        : asCreates
          ? Object.fromEntries(
              CREATE_FIELDS.map((name) => [name, job[name]] as const).filter(([, one]) => one !== null),
            )
          : job;
    return `${jsonText(value)}\n`;
  };
}

async function csvLines(
  columns: readonly string[],
  escapeFormulas: boolean,
  sink: Sink,
): Promise<(job: Job) => string> {
  const { stringify } = await import('csv-stringify/sync');
  const lineOf = (cells: readonly string[]) => stringify([[...cells]], { escape_formulas: escapeFormulas });
  await sink.write(lineOf(columns));
  return (job) => lineOf(columns.map((path) => cellOf(valueAt(job, path), JSON_COLUMNS.has(path))));
}

/** `arguments.to`: the field `to` of the arguments. */
function valueAt(job: Job, path: string): unknown {
  return path
    .split('.')
    .reduce<unknown>(
      (value, name) =>
        typeof value === 'object' && value !== null ? new Map(Object.entries(value)).get(name) : undefined,
      job,
    );
}

function cellOf(value: unknown, isJson: boolean): string {
  if (value === null || value === undefined) return '';
  if (typeof value === 'string' && !isJson) return value;
  // As `jobs import` reads tags.
  if (Array.isArray(value) && value.every((one) => typeof one === 'string' && !one.includes(',')))
    return value.join(',');
  return jsonText(value);
}
