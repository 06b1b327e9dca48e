import { homedir } from 'node:os';
import { join } from 'node:path';

/** Settings from the environment. */
export interface Environment {
  coordinatorUrl: string | undefined;
  key: string | undefined;
  profile: string | undefined;
  /** The folder of `profiles.json`. */
  configDir: string;
  /** Where `baton dev` and `npm start` keep their data, including the generated key. */
  dataDir: string;
  /** Port of a coordinator that was started here. */
  port: string | undefined;
  colour: 'always' | 'never' | 'auto';
  /** Width of tables if the output is not a terminal; undefined: no limit. */
  columns: number | undefined;
  /** The shell's environment, passed on to the processes that the command starts. */
  variables: NodeJS.ProcessEnv;
}

/** The only reader of the environment in this package. */
export function readEnvironment(variables: NodeJS.ProcessEnv = process.env): Environment {
  const columns = Number(given(variables['COLUMNS']));
  return {
    coordinatorUrl: given(variables['COORDINATOR_URL']),
    key: given(variables['BATON_KEY']),
    profile: given(variables['BATON_PROFILE']),
    configDir: given(variables['BATON_CONFIG_DIR']) ?? join(configHome(variables), 'baton'),
    dataDir: given(variables['BATON_DATA_DIR']) ?? '.baton',
    port: given(variables['PORT']),
    colour: colourOf(variables),
    columns: Number.isSafeInteger(columns) && columns > 0 ? columns : undefined,
    variables,
  };
}

const OF_THIS_COMMAND = new Set(['COORDINATOR_URL', 'BATON_KEY', 'BATON_PROFILE', 'BATON_CONFIG_DIR']);

/** The environment of a coordinator: one that finds settings which are not its own does not start. */
export function coordinatorVariables({ variables }: Environment): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(variables).filter(([name]) => !OF_THIS_COMMAND.has(name)));
}

/** `NO_COLOR` and `FORCE_COLOR` by their conventions: any value except the empty one, and except 0 for the second. */
function colourOf(variables: NodeJS.ProcessEnv): Environment['colour'] {
  if (given(variables['NO_COLOR']) !== undefined || variables['TERM'] === 'dumb') return 'never';
  const forced = given(variables['FORCE_COLOR']);
  return forced === undefined || forced === '0' ? 'auto' : 'always';
}

function configHome(variables: NodeJS.ProcessEnv): string {
  const own = given(variables['XDG_CONFIG_HOME']) ?? given(variables['APPDATA']);
  return own ?? join(homedir(), '.config');
}

function given(value: string | undefined): string | undefined {
  const text = unquoted(value?.trim() ?? '');
  return text === '' ? undefined : text;
}

/** Readers of env files disagree on whether quotes around a value belong to it. Here they never do. */
function unquoted(text: string): string {
  return /^(["'])(.+)\1$/s.exec(text)?.[2]?.trim() ?? text;
}
