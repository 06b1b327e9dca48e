import { parseArgs } from 'node:util';
import { suggest } from '@baton/coordinator/dist/config/config';
import { StartError } from './port';

export interface Flags {
  /** As text; validated with the other settings. */
  port: string | undefined;
  /** Names of runners beside that of quotes; `all`: every one that is there. */
  runners: string[];
  watch: boolean;
  again: boolean;
  nightly: boolean;
  help: boolean;
}

const OPTIONS = {
  port: { type: 'string' },
  runners: { type: 'string' },
  watch: { type: 'boolean' },
  again: { type: 'boolean' },
  nightly: { type: 'boolean' },
  help: { type: 'boolean', short: 'h' },
} as const;

export const USAGE = `npm start -- [--port N] [--runners NAMES] [--again] [--nightly] [--watch]

Starts a coordinator with its database and the quotes runner, and gives them work.

  --port N         listen on this port instead of 3001, as PORT=N does
  --runners NAMES  start these ready-made runners too, such as images,data, or all (docs/runners.md)
  --again          process the quotes once more
  --nightly        process them every night at two, by a schedule and a workflow, and once now
  --watch          compile and restart what changes (npm run dev)
  --help           print this

Settings come from the environment: PORT, HOST, DATABASE_URL, BATON_DATA_DIR, …; docs/configuration.md has all of them.
Ctrl-C drains and stops; the data stay in .baton for the next start.`;

/** @throws {StartError} for an unknown flag */
export function readFlags(args: string[]): Flags {
  const { tokens } = parseArgs({ args, options: OPTIONS, strict: false, tokens: true, allowPositionals: true });
  const flags: Flags = { port: undefined, runners: [], watch: false, again: false, nightly: false, help: false };
  for (const token of tokens) {
    if (token.kind === 'positional')
      throw new StartError(
        `npm start takes no argument ${JSON.stringify(token.value)}. npm start -- --help lists what it takes.`,
      );
    if (token.kind !== 'option') continue;
    const { name, rawName, value } = token;
    if (!isFlag(name))
      throw new StartError(
        `${rawName} is not a flag of npm start. Did you mean --${suggest(name, Object.keys(OPTIONS))}? npm start -- --help lists all.`,
      );
    if (name === 'port') flags.port = portOf(value);
    else if (name === 'runners') flags.runners = namesOf(value);
    else if (value !== undefined) throw new StartError(`--${name} takes no value.`);
    else flags[name] = true;
  }
  return flags;
}

function isFlag(name: string): name is keyof typeof OPTIONS {
  return Object.hasOwn(OPTIONS, name);
}

function namesOf(value: string | undefined): string[] {
  const names = (value ?? '')
    .split(',')
    .map((name) => name.trim())
    .filter((name) => name !== '');
  if (names.length === 0)
    throw new StartError('--runners takes names of runners, such as: npm start -- --runners images,data');
  return names;
}

function portOf(value: string | undefined): string {
  if (value === undefined || !/^\d+$/.test(value) || Number(value) < 1 || Number(value) > 65_535)
    throw new StartError('--port takes a whole number from 1 to 65535, such as: npm start -- --port 4204');
  return value;
}
