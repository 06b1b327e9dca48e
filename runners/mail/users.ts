import { readFile, stat } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { NonRetryableError } from '@baton/runner-sdk';
import { SettingsError } from '@baton/runner-kit';
import { request } from 'undici';
import { z } from 'zod';

export interface User {
  email: string;
  name?: string | undefined;
  locale?: string | undefined;
}

/** Where addresses of users are looked up. */
export interface Users {
  /** Null: there is no such user. */
  find(userId: string, signal: AbortSignal): Promise<User | null>;
}

export interface UsersSettings {
  MAIL_USERS?: string | undefined;
  MAIL_USERS_QUERY: string;
  MAIL_USERS_TOKEN?: string | undefined;
}

const TIMEOUT_MS = 10_000;

const user = z.object({
  email: z.email(),
  name: z
    .string()
    .nullish()
    .transform((name) => name ?? undefined),
  locale: z
    .string()
    .nullish()
    .transform((locale) => locale ?? undefined),
});

/** @throws {SettingsError} for an invalid location */
export async function usersOf(settings: UsersSettings): Promise<Users> {
  const { MAIL_USERS: place } = settings;
  if (place === undefined) return { find: () => Promise.reject(nowhere()) };
  if (place.startsWith('file:')) return usersOfFile(place);
  if (/^https?:/.test(place)) return usersOfWeb(place, settings.MAIL_USERS_TOKEN);
  return usersOfTable(place, settings.MAIL_USERS_QUERY);
}

/** A JSON file of users by id, read again when it has changed. */
function usersOfFile(place: string): Users {
  const path = place.startsWith('file:///') ? fileURLToPath(place) : place.slice('file:'.length);
  let known: { mtimeMs: number; users: Map<string, unknown> } | null = null;
  return {
    async find(userId) {
      const { mtimeMs } = await stat(path);
      if (known?.mtimeMs !== mtimeMs)
        known = { mtimeMs, users: new Map(Object.entries(JSON.parse(await readFile(path, 'utf8')) as object)) };
      return known.users.has(userId) ? checked(userId, known.users.get(userId)) : null;
    },
  };
}

/** `GET` of a URL with `{userId}`. */
function usersOfWeb(place: string, token: string | undefined): Users {
  if (!place.includes('{userId}'))
    throw new SettingsError('MAIL_USERS must hold {userId}, such as https://app.internal/users/{userId}');
  return {
    async find(userId, signal) {
      const url = place.replaceAll('{userId}', encodeURIComponent(userId));
      const answer = await request(url, {
        headers: { accept: 'application/json', ...(token !== undefined && { authorization: `Bearer ${token}` }) },
        signal: AbortSignal.any([signal, AbortSignal.timeout(TIMEOUT_MS)]),
      });
      if (answer.statusCode === 404 || answer.statusCode === 410) {
        await answer.body.dump();
        return null;
      }
      const body = await answer.body.text();
      if (answer.statusCode !== 200)
        throw new Error(`the address of a user could not be read: MAIL_USERS answered ${answer.statusCode}`);
      return checked(userId, JSON.parse(body));
    },
  };
}

async function usersOfTable(place: string, query: string): Promise<Users> {
  const { Pool } = await import('pg');
  const pool = new Pool({
    connectionString: place,
    max: 2,
    connectionTimeoutMillis: TIMEOUT_MS,
    query_timeout: TIMEOUT_MS,
  });
  // A connection that breaks while it is idle is replaced.
  pool.on('error', () => undefined);
  return {
    async find(userId) {
      const { rows } = await pool.query<Record<string, unknown>>(query, [userId]);
      return rows[0] === undefined ? null : checked(userId, rows[0]);
    },
  };
}

function checked(userId: string, found: unknown): User {
  const read = user.safeParse(found);
  if (read.success) return read.data;
  const issue = read.error.issues[0];
  throw new NonRetryableError(`the user ${userId} has no usable address: ${issue?.path.join('.')} ${issue?.message}`, {
    code: 'mail_bad_user',
  });
}

function nowhere(): NonRetryableError {
  return new NonRetryableError('this runner knows no users: give `to`, or set MAIL_USERS', {
    code: 'mail_unknown_user',
  });
}
