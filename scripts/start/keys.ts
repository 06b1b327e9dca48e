import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Client } from '@baton/runner-sdk';

export interface AdminKey {
  key: string;
  /** How a shell reads it, such as `$(cat .baton/admin-key)`. */
  inShell: string;
  /** Its location, in words. */
  place: string;
}

/** The coordinator's configured key, else the one that it generated; undefined when there is neither. */
export function findAdminKey(dataDir: string, configured: string | undefined): AdminKey | undefined {
  if (configured !== undefined) return { key: configured, inShell: '$BATON_ADMIN_KEY', place: 'BATON_ADMIN_KEY' };
  const file = join(dataDir, 'admin-key');
  if (!existsSync(file)) return undefined;
  const shown = shortest(file);
  return { key: readFileSync(file, 'utf8').trim(), inShell: `$(cat ${quoted(shown)})`, place: shown };
}

/** The runner's previous key, if it is still valid, else a new one. Stored in the data directory. */
export async function ensureRunnerKey(client: Client, dataDir: string): Promise<string> {
  const file = join(dataDir, 'runner-key');
  const kept = existsSync(file) ? readFileSync(file, 'utf8').trim().split(' ') : [];
  const [id, key] = kept;
  if (id !== undefined && key !== undefined && (await isGood(client, id))) return key;
  const created = await client.apiKeys.create({ name: 'quotes runner of npm start', role: 'runner' });
  writeFileSync(file, `${created.id} ${created.key}\n`, { mode: 0o600 });
  return created.key;
}

/** A path relative to where `npm start` was called. */
export function shortest(path: string): string {
  const from = process.env['INIT_CWD'] ?? process.cwd();
  return path.startsWith(`${from}/`) ? path.slice(from.length + 1) : path;
}

export function quoted(path: string): string {
  return /^[\w./-]+$/.test(path) ? path : `'${path.replaceAll("'", `'\\''`)}'`;
}

async function isGood(client: Client, id: string): Promise<boolean> {
  for (let cursor: string | undefined; ;) {
    const page = await client.apiKeys.list({ limit: 500, ...(cursor === undefined ? {} : { cursor }) });
    const found = page.items.find((key) => key.id === id);
    if (found !== undefined)
      return found.revokedAt === null && (found.expiresAt === null || Date.parse(found.expiresAt) > Date.now());
    if (page.nextCursor === null) return false;
    cursor = page.nextCursor;
  }
}
