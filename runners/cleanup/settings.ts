import { readFileSync } from 'node:fs';
import { setting, SettingsError, unquoted } from '@baton/runner-kit';
import { z } from 'zod';

export const cleanupSettings = {
  CLEANUP_CONFIG: setting.file().optional(),
};

const DATABASE_PREFIX = 'CLEANUP_DATABASE_';
const SECRET_PREFIX = 'CLEANUP_SECRET_';

export function isNamedSetting(name: string): boolean {
  return name.startsWith(DATABASE_PREFIX) || name.startsWith(SECRET_PREFIX);
}

const name = z.string().regex(/^[\w-]{1,100}$/);
const config = z.strictObject({
  statements: z
    .record(
      name,
      z.strictObject({
        /** The suffix of `CLEANUP_DATABASE_…`, which has its URL. */
        database: z.string().regex(/^[A-Z0-9_]+$/),
        /** Deletes one batch; it is repeated until it deletes nothing. */
        delete: z.string().min(1),
        /** Counts all that would be deleted, for a dry run. */
        count: z.string().min(1),
        /** Names of the parameters `$1`, `$2`, …, in order. */
        parameters: z.array(z.string()).default([]),
      }),
    )
    .default({}),
  caches: z
    .record(
      name,
      z.strictObject({
        /** Contains `{key}`, which is escaped, or ends with `{path}`, which starts with `/`. */
        url: z
          .string()
          .regex(/^https?:\/\/[^{]+(\{key\}.*|\{path\})$/s, 'must be a URL with {key}, or with {path} at its end'),
        method: z.enum(['PURGE', 'DELETE', 'POST', 'BAN']).default('PURGE'),
        /** `{{NAME}}` is replaced by `CLEANUP_SECRET_NAME`. */
        headers: z.record(z.string(), z.string()).default({}),
      }),
    )
    .default({}),
});

export interface Statement {
  databaseUrl: string;
  delete: string;
  count: string;
  parameters: string[];
}

export interface Cache {
  url: string;
  method: string;
  headers: Record<string, string>;
}

export interface Config {
  statements: ReadonlyMap<string, Statement>;
  caches: ReadonlyMap<string, Cache>;
}

/** @throws {SettingsError} for an invalid file, and for settings that it names but that are missing */
export function readConfig(path: string | undefined, env: Record<string, string | undefined> = process.env): Config {
  const read = config.safeParse(path === undefined ? {} : jsonOf(path));
  if (!read.success) {
    const issue = read.error.issues[0];
    throw new SettingsError(`CLEANUP_CONFIG ${path}: ${issue?.path.join('.')} ${issue?.message}`);
  }
  const { statements, caches } = read.data;
  return {
    statements: new Map(
      Object.entries(statements).map(([key, { database, ...statement }]) => [
        key,
        { ...statement, databaseUrl: needed(DATABASE_PREFIX + database, env, `statements.${key}`) },
      ]),
    ),
    caches: new Map(
      Object.entries(caches).map(([key, cache]) => [
        key,
        { ...cache, headers: filled(cache.headers, env, `caches.${key}`) },
      ]),
    ),
  };
}

function filled(
  headers: Record<string, string>,
  env: Record<string, string | undefined>,
  by: string,
): Record<string, string> {
  const entries = Object.entries(headers).map(([key, value]) => [
    key,
    value.replace(/\{\{([A-Z0-9_]+)\}\}/g, (_text, secret: string) => needed(SECRET_PREFIX + secret, env, by)),
  ]);
  return Object.fromEntries(entries) as Record<string, string>;
}

function needed(variable: string, env: Record<string, string | undefined>, by: string): string {
  const value = unquoted((Object.hasOwn(env, variable) ? env[variable] : undefined) ?? '');
  if (value === '') throw new SettingsError(`CLEANUP_CONFIG: ${by} needs ${variable}, which is not set`);
  return value;
}

function jsonOf(path: string): unknown {
  try {
    return JSON.parse(readFileSync(path, 'utf8'));
  } catch (error) {
    throw new SettingsError(
      `CLEANUP_CONFIG ${path} is not JSON: ${error instanceof Error ? error.message : String(error)}`,
    );
  }
}
