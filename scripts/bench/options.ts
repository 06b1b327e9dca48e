import { parseArgs } from 'node:util';
import type { Scale } from './sizes';

export interface Options {
  scale: Scale;
  hasPeers: boolean;
  /** Empty: all lines. */
  only: string[];
  rounds: number | undefined;
  jsonFile: string | undefined;
  writesDocs: boolean;
  /** Render the page from this file instead of from a run. */
  docsFrom: string | undefined;
  profiles: boolean;
  explains: boolean;
}

export const USAGE = `npm run bench -- [options]
  --quick            smaller, one round, within a minute
  --smoke            some hundreds of jobs, to see that the benchmark itself works
  --peers            the other job systems too, on the same machine, in the same run, in turns
  --only LINE        one line of the table; may be given more than once
  --rounds N         how often each line is run (default 3; quick and smoke: 1)
  --json FILE        write the figures as JSON
  --write-docs       write docs/benchmarks.md from this run
  --docs-from FILE   write docs/benchmarks.md from the JSON of an earlier run, and run nothing
  --profile          run coordinator and load under a CPU profiler and print where they spend their time
  --explain          print the processor time of each run, and what its statements cost PostgreSQL`;

/** @throws Error for an unknown option */
export function readOptions(args: string[]): Options {
  const { values } = parseArgs({
    args,
    options: {
      quick: { type: 'boolean' },
      smoke: { type: 'boolean' },
      peers: { type: 'boolean' },
      only: { type: 'string', multiple: true },
      rounds: { type: 'string' },
      json: { type: 'string' },
      'write-docs': { type: 'boolean' },
      'docs-from': { type: 'string' },
      profile: { type: 'boolean' },
      explain: { type: 'boolean' },
    },
  });
  return {
    scale: values.smoke === true ? 'smoke' : values.quick === true ? 'quick' : 'full',
    hasPeers: values.peers === true,
    only: values.only ?? [],
    rounds: readRounds(values.rounds),
    jsonFile: values.json,
    writesDocs: values['write-docs'] === true,
    docsFrom: values['docs-from'],
    profiles: values.profile === true,
    explains: values.explain === true,
  };
}

function readRounds(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const rounds = Number(text);
  if (!Number.isInteger(rounds) || rounds < 1 || rounds > 100)
    throw new Error(`--rounds must be a whole number from 1 to 100, not ${text}`);
  return rounds;
}
