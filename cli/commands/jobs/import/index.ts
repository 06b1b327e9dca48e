import type { CommandUnknownOpts } from '@commander-js/extra-typings';
import type { Cli } from '../../../cli';
import { addExamples } from '../../../examples';
import { Failure } from '../../../exit-codes';
import { choice } from '../../../input/choices';
import { parseFutureTime } from '../../../input/durations';
import { collect, collectNames, parsePriority, parseWhole } from '../../../input/values';
import { checkFile } from './check';
import { importFile } from './import-file';
import type { Format } from './rows';

const FORMATS = ['ndjson', 'csv'] as const;
const MOST_AT_ONCE = 16;

/** `jobs import` */
export function addImportCommand(jobs: CommandUnknownOpts, cli: Cli): void {
  const command = jobs
    .command('import')
    .description('create a job for each row of a file; killed and given again, it goes on without doubles')
    .argument('<file>', 'NDJSON or CSV in UTF-8; - for standard input')
    .addOption(choice('--format <format>', 'of the file; default: by its name, else ndjson', FORMATS))
    .option('-t, --type <type>', 'the type of all jobs: each row is then the arguments of one, not a whole job')
    .option('-Q, --queue <queue>', 'the queue of all jobs')
    .option('-p, --priority <priority>', 'the priority of all jobs: high, normal, low, or -100 to 100', parsePriority)
    .option('--run-at <time>', 'start none of them before this time, or for 2h', parseFutureTime)
    .option('--tag <tag>', 'a tag of all jobs; may be repeated', collect)
    .option('-u, --user <userId>', 'whose jobs they are')
    .option('--delimiter <text>', 'between the cells of CSV; default: comma, semicolon or tab, by the first line')
    .option('--json-column <name>', 'a CSV column whose cells are JSON, not text; may be repeated', collectNames)
    .option('--refused <file>', 'write the rows that were refused to this file, with the reasons, as NDJSON')
    .option('--state <file>', 'where it notes how far it is; default: the name of the file with .import.json')
    .option('--key <text>', 'what its idempotency keys begin with, instead of a random one that the state keeps')
    .option('--again', 'create the jobs once more, though the file was imported, or an import of it has begun')
    .option(
      '--at-once <count>',
      'how many requests are in flight; 1 creates the jobs in the order of the file',
      parseWhole(1, MOST_AT_ONCE),
      4,
    )
    .option('--dry-run', 'only read and check the file; nothing is sent')
    .addHelpText(
      'after',
      '\nA row of NDJSON is a job as POST /jobs takes it, or with --type its arguments. A CSV file begins with the names\n' +
        'of its columns: fields of a job, and arguments.NAME for single arguments; with --type every column is one.\n' +
        'Rows that are refused are listed (exit code 8) and do not stop the others. A full queue is waited for.',
    )
    .action(async (path, options) => {
      const { type, queue, priority, runAt, tag, user, delimiter, jsonColumn = [] } = options;
      const given = { queue, priority, runAt, tags: tag, userId: user };
      const fields = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
      if (delimiter !== undefined && formatOf(path, options.format) !== 'csv')
        throw new Failure('usage', '--delimiter is for CSV', 'Add --format csv.');
      const plan = {
        source: { path, format: formatOf(path, options.format), delimiter: unescaped(delimiter) },
        shape: { type, fields, jsonColumns: new Set(jsonColumn) },
        refusedFile: options.refused,
        stateFile: options.state ?? (path === '-' ? undefined : `${path}.import.json`),
        key: options.key,
        again: options.again === true,
        atOnce: options.atOnce,
      };
      if (options.dryRun === true) await checkFile(cli, plan);
      else await importFile(cli, plan);
    });
  addExamples(command, [
    [
      'baton jobs import jobs.ndjson',
      'One job a line, such as {"type":"SEND_MAIL","arguments":{"to":"ada@example.com"}}',
    ],
    ['baton jobs import users.csv --type SEND_MAIL --queue mail --refused refused.ndjson', 'A table of arguments'],
    ['baton jobs import users.csv --type SEND_MAIL --json-column age --dry-run', 'Only check it'],
    ['baton jobs import - --key nightly-2026-01-31 < jobs.ndjson', 'From another program, and again without doubles'],
  ]);
}

function formatOf(path: string, given: Format | undefined): Format {
  return given ?? (/\.(csv|tsv)$/i.test(path) ? 'csv' : 'ndjson');
}

/** A tab cannot be typed in most shells. */
function unescaped(delimiter: string | undefined): string | undefined {
  return delimiter === '\\t' || delimiter === 'tab' ? '\t' : delimiter;
}
