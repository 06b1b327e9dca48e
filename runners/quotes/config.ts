import { statSync } from 'node:fs';
import path from 'node:path';
import { z } from 'zod';

const webUrl = (example: string) => z.url({ protocol: /^https?$/, error: `must be a URL such as ${example}` });
const secret = z.string().regex(/^[\x21-\x7e]+$/, 'must be visible ASCII without spaces');

const settings = z.object({
  COORDINATOR_URL: z
    .string()
    .default('http://127.0.0.1:3001')
    .transform((list) => list.split(',').map((url) => url.trim()))
    .pipe(z.array(webUrl('http://127.0.0.1:3001'))),
  RUNNER_KEY: z.string({ error: 'must be set to an API key of role runner' }).pipe(secret),
  RUNNER_CONCURRENCY: z.coerce.number().int().min(1).max(100).default(4),
  QUOTES_DIR: z
    .string()
    .refine((location) => kindOf(location) === 'directory', 'must be a directory')
    .default(path.dirname(require.resolve('popular-movie-quotes/data/data.json'))),
  QUOTES_OUTPUT_DIR: z
    .string()
    .refine((location) => kindOf(location) !== 'other', 'must be a directory, or not be there yet')
    .default(path.join('.baton', 'quotes')),
  TMDB_API_KEY: secret.optional(),
  TMDB_BASE_URL: webUrl('https://api.themoviedb.org/3')
    .refine((url) => !/[?#@]/.test(url), 'must have no query, fragment or user')
    .default('https://api.themoviedb.org/3'),
  TMDB_TIMEOUT_MS: z.coerce.number().int().min(100).max(300_000).default(10_000),
});

export interface Config {
  /** One or more; the next is tried when one is gone. */
  coordinatorUrls: string[];
  runnerKey: string;
  /** Most jobs at a time. */
  concurrency: number;
  /** Where the argument `file` is looked up. */
  quotesDirectory: string;
  outputDirectory: string;
  /** Null without a key. */
  tmdb: TmdbConfig | null;
}

export interface TmdbConfig {
  baseUrl: string;
  /** A v3 key or a v4 read access token. */
  apiKey: string;
  timeoutMs: number;
}

/** An invalid setting. The message is one line that names the variable, its fault and what is allowed. */
export class ConfigError extends Error {}

/**
 * Reads the runner's settings; an empty variable counts as not set.
 * @throws {ConfigError} on the first fault
 */
export function readConfig(env: Record<string, string | undefined> = process.env): Config {
  const given = new Map(Object.entries(env).map(([name, value]) => [name, unquoted(value?.trim() ?? '')]));
  const present = new Map([...given].filter(([, value]) => value !== ''));
  const parsed = settings.safeParse(Object.fromEntries(present));
  if (!parsed.success) throw new ConfigError(describeFault(parsed.error, present));
  const read = parsed.data;
  const { TMDB_API_KEY: apiKey, TMDB_BASE_URL: baseUrl, TMDB_TIMEOUT_MS: timeoutMs } = read;
  return {
    coordinatorUrls: read.COORDINATOR_URL,
    runnerKey: read.RUNNER_KEY,
    concurrency: read.RUNNER_CONCURRENCY,
    quotesDirectory: read.QUOTES_DIR,
    outputDirectory: read.QUOTES_OUTPUT_DIR,
    tmdb: apiKey === undefined ? null : { baseUrl, apiKey, timeoutMs },
  };
}

/** Readers of env files disagree on whether quotes around a value belong to it. Here they never do. */
function unquoted(text: string): string {
  return /^(["'])(.+)\1$/s.exec(text)?.[2]?.trim() ?? text;
}

/** Describes a fault without the value of a secret, or of a URL, which may contain one. */
function describeFault(error: z.ZodError, present: Map<string, string>): string {
  const issue = error.issues[0];
  const name = String(issue?.path[0]);
  const shown = /KEY|URL/.test(name) || !present.has(name) ? '' : ` is ${JSON.stringify(present.get(name))}, but`;
  const message = issue?.message ?? '';
  return `${name}${shown} ${message.startsWith('must') ? message : `is not valid: ${message}`}`;
}

function kindOf(location: string): 'directory' | 'other' | 'missing' {
  try {
    return statSync(location).isDirectory() ? 'directory' : 'other';
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ENOENT' ? 'missing' : 'other';
  }
}
