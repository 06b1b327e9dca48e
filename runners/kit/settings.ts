import { statSync } from 'node:fs';
import { closest, distance } from 'fastest-levenshtein';
import { z } from 'zod';

/** An invalid setting. The message is one line that names the variable, its fault and what is allowed. */
export class SettingsError extends Error {}

/** Settings by the name of their environment variable; each schema parses text. */
export type SettingsShape = Record<string, z.ZodType>;

export type SettingsOf<Shape extends SettingsShape> = z.output<z.ZodObject<Shape>>;

export interface ReadSettingsOptions {
  /** Default: the environment of the process. */
  env?: Record<string, string | undefined>;
  /** Unknown variables with this prefix are refused, because a misspelt setting would silently keep its default. */
  prefix?: string;
  /** Other names that may have the prefix, such as those of secrets. */
  isOther?: (name: string) => boolean;
}

/**
 * Reads settings from the environment; an empty variable counts as not set.
 * @throws {SettingsError} on the first fault, and for a misspelt name
 */
export function readSettings<Shape extends SettingsShape>(
  shape: Shape,
  { env = process.env, prefix, isOther = () => false }: ReadSettingsOptions = {},
): SettingsOf<Shape> {
  const names = [...Object.keys(shape), ...SDK_SETTINGS];
  for (const [name, value = ''] of Object.entries(env))
    if (value !== '' && !names.includes(name) && !isOther(name)) refuseMisspelt(name, value, names, prefix);
  const present = new Map(
    Object.keys(shape).flatMap((name) => {
      const value = unquoted((Object.hasOwn(env, name) ? env[name] : undefined) ?? '');
      return value.trim() === '' ? [] : [[name, value] as const];
    }),
  );
  const parsed = z.object(shape).safeParse(Object.fromEntries(present));
  if (!parsed.success) throw new SettingsError(describeFault(parsed.error, present));
  return parsed.data;
}

/** Schemas of settings that many runners have. Their messages continue "NAME is …, but". */
export const setting = {
  wholeNumber(min: number, max: number) {
    const error = `must be a whole number from ${min} to ${max}`;
    return z.coerce.number({ error }).int({ error }).min(min, { error }).max(max, { error });
  },

  /** `true` or `false`. */
  flag() {
    return z.enum(['true', 'false'], { error: 'must be true or false' }).transform((text) => text === 'true');
  },

  oneOf<const Words extends readonly [string, ...string[]]>(words: Words) {
    return z.enum(words, { error: `must be one of ${words.join(', ')}` });
  },

  /** Parts separated by commas, without empty ones. */
  list() {
    return z.string().transform((text) =>
      text
        .split(',')
        .map((part) => part.trim())
        .filter((part) => part !== ''),
    );
  },

  url(example: string, protocol = /^https?$/) {
    return z.url({ protocol, error: `must be a URL such as ${example}` });
  },

  /** An existing folder. */
  folder() {
    return z.string().refine((path) => kindOf(path) === 'folder', 'must be a folder');
  },

  /** A folder that exists or can be created. */
  newFolder() {
    return z.string().refine((path) => kindOf(path) !== 'other', 'must be a folder, or not be there yet');
  },

  file() {
    return z.string().refine((path) => kindOf(path) === 'other', 'must be a file');
  },

  secret() {
    return z.string().regex(/^[\x21-\x7e]+$/, 'must be visible ASCII without spaces');
  },
};

/** Settings that the SDK reads and validates itself. */
const SDK_SETTINGS = [
  'COORDINATOR_URL',
  'RUNNER_KEY',
  'RUNNER_CONCURRENCY',
  'RUNNER_GRACE_MS',
  'RUNNER_LEASE_MS',
  'RUNNER_QUEUES',
  'RUNNER_LABELS',
  'RUNNER_LOG_LEVEL',
];

/** Most wrong letters in a name that is treated as misspelt. */
const MOST_WRONG_LETTERS = 2;
/** Kubernetes sets these for a Service with the name of the runner. */
const SERVICE_LINK = /_(SERVICE_(HOST|PORT)(_.+)?|PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)$/;
/** Other programs have variables with these prefixes too, so only names close to a setting are refused. */
const SHARED_PREFIX = /^(COORDINATOR|RUNNER|STORAGE)_/;

function refuseMisspelt(name: string, value: string, known: string[], prefix: string | undefined): void {
  const isOwn = prefix !== undefined && name.startsWith(prefix) && !isServiceLink(name, value);
  if (!isOwn && !SHARED_PREFIX.test(name)) return;
  const meant = closest(name, isOwn ? known.filter((one) => one.startsWith(prefix)) : known);
  if (isOwn || distance(name, meant) <= MOST_WRONG_LETTERS)
    throw new SettingsError(`${name} is not a setting of this runner. Did you mean ${meant}?`);
}

function isServiceLink(name: string, value: string): boolean {
  return SERVICE_LINK.test(name) && (/^(tcp|udp|sctp):\/\//.test(value) || /_SERVICE_|_PORT_\d/.test(name));
}

/** Readers of env files disagree on whether quotes around a value belong to it. Here they never do. */
export function unquoted(value: string): string {
  const inner = /^\s*(["'])(.*)\1\s*$/s.exec(value)?.[2];
  return inner === undefined || inner === '' ? value : inner;
}

/** Describes a fault without the value of a secret, or of a URL, which may contain one. */
function describeFault(error: z.ZodError, present: Map<string, string>): string {
  const issue = error.issues[0];
  const name = String(issue?.path[0]);
  const given = present.get(name);
  if (given === undefined) return `${name} ${issue?.code === 'invalid_type' ? missing(issue.message) : issue?.message}`;
  const shown = /KEY|URL|SECRET|PASSWORD|TOKEN|ROOTS/.test(name) ? '' : ` is ${JSON.stringify(given)}, but`;
  const message = issue?.message ?? '';
  return `${name}${shown} ${message.startsWith('must') ? message : `is not valid: ${message}`}`;
}

function missing(message: string): string {
  return message.startsWith('must') ? message : 'must be set';
}

function kindOf(path: string): 'folder' | 'other' | 'missing' {
  try {
    return statSync(path).isDirectory() ? 'folder' : 'other';
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ENOENT' ? 'missing' : 'other';
  }
}
