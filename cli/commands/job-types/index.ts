import { readFileSync, writeFileSync } from 'node:fs';
import type { CommandUnknownOpts } from '@commander-js/extra-typings';
import type { Client, JobType } from '@baton/runner-sdk';
import type { Cli } from '../../cli';
import { addExamples } from '../../examples';
import { Failure } from '../../exit-codes';
import type { Column } from '../../terminal/table';
import { jsonText } from '../../terminal/text';
import { typescriptOf } from './typescript';

/** `baton types …` */
export function addTypeCommands(program: CommandUnknownOpts, cli: Cli): void {
  const types = program
    .command('types')
    .alias('type')
    .description('look at the job types that runners serve, and generate TypeScript from their schemas');

  const list = types
    .command('list')
    .alias('ls')
    .description('list the job types that runners serve or have published schemas of')
    .action(async () => {
      const items = await allTypes(await cli.client());
      cli.list({ items }, items, COLUMNS, 'No runner serves any type.');
    });
  addExamples(list, [['baton types list', 'Types, and how many runners serve each']]);

  const show = types
    .command('show')
    .description('show the schemas that runners have published of a type')
    .argument('<type>', 'a job type')
    .action(async (name) => {
      const type = await (await cli.client()).type(name);
      if (cli.isJson) return cli.terminal.json(type);
      cli.terminal.line(`${type.type}: ${type.runners} runners`);
      if (type.schemas.length === 0) cli.terminal.line('No runner has published a schema of it: it takes anything.');
      for (const { hash, runners, inForce, firstSeenAt, arguments: args, result } of type.schemas) {
        const force = inForce ? 'in force' : 'of before';
        cli.terminal.line('');
        cli.terminal.line(`${hash}: ${force}, ${runners} runners, first seen ${cli.time(firstSeenAt)}`);
        cli.terminal.line(`arguments ${args === null ? 'anything' : jsonText(args, 2)}`);
        cli.terminal.line(`result ${result === null ? 'anything' : jsonText(result, 2)}`);
      }
    });
  addExamples(show, [['baton types show resize', 'What jobs of a type are created with']]);
  addGenerate(types, cli);
}

function addGenerate(types: CommandUnknownOpts, cli: Cli): void {
  const generate = types
    .command('generate')
    .description('write TypeScript of the arguments and results of job types, for producers')
    .argument('[type...]', 'job types; default: all that have schemas')
    .option('-o, --output <file>', 'write to this file; default: standard output')
    .option('--check', 'write nothing; fail if the file is not what would be written')
    .action(async (names, { output, check }) => {
      if (check === true && output === undefined)
        throw new Failure('usage', '--check needs --output: the file that is checked.');
      const client = await cli.client();
      const wanted =
        names.length === 0
          ? (await allTypes(client)).filter(({ schemas }) => schemas.length > 0)
          : await Promise.all(names.map((name) => client.type(name)));
      const text = typescriptOf(wanted);
      if (output === undefined) return cli.terminal.line(text.trimEnd());
      if (check !== true) {
        writeFileSync(output, text);
        return cli.note(`${wanted.length} types were written to ${output}.`);
      }
      if (contentOf(output) !== text)
        throw new Failure(
          'incomplete',
          `${output} is not what the schemas say now.`,
          `Write it again: baton types generate --output ${output}`,
        );
      cli.note(`${output} is what the schemas say.`);
    });
  addExamples(generate, [
    ['baton types generate --output jobs.ts', 'Types of all jobs'],
    ['baton types generate resize send-mail', 'Of two types, to standard output'],
    ['baton types generate --check --output jobs.ts', 'In a build: fails when runners have changed'],
  ]);
}

const COLUMNS: Column<JobType>[] = [
  { title: 'TYPE', of: ({ type }) => type, least: 12 },
  { title: 'RUNNERS', of: ({ runners }) => runners, align: 'right' },
  { title: 'SCHEMAS', of: ({ schemas }) => schemas.length, align: 'right' },
  { title: 'IN FORCE', of: ({ schemas }) => schemas.filter(({ inForce }) => inForce).length, align: 'right', drop: 1 },
];

async function allTypes(client: Client): Promise<JobType[]> {
  const items: JobType[] = [];
  for (let cursor: string | undefined; ;) {
    const page = await client.types({ limit: 500, cursor });
    items.push(...page.items);
    if (page.nextCursor === null) return items;
    cursor = page.nextCursor;
  }
}

/** Null: there is no such file. */
function contentOf(path: string): string | null {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if ((error as { code?: string }).code === 'ENOENT') return null;
    throw error;
  }
}
