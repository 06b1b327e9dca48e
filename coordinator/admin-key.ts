import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Config, ConfigError } from './config/config';
import { makeKey } from './domain/auth/keys';

export interface AdminKey {
  id: 'configured' | 'embedded';
  key: string;
  isNew: boolean;
  /** The file that contains it; undefined for a configured key. */
  keptIn?: string;
}

/**
 * The configured admin key; with the embedded database otherwise one that is generated at the first start and stored
 * beside it.
 */
export function resolveAdminKey({
  adminKey,
  databaseUrl,
  dataDir,
}: Pick<Config, 'adminKey' | 'databaseUrl' | 'dataDir'>): AdminKey | null {
  if (adminKey !== undefined) return { id: 'configured', key: adminKey, isNew: false };
  if (databaseUrl !== undefined) return null;
  const keptIn = join(dataDir, 'admin-key');
  if (existsSync(keptIn)) return { id: 'embedded', key: readKept(keptIn), isNew: false, keptIn };
  const { key } = makeKey();
  mkdirSync(dataDir, { recursive: true });
  writeFileSync(keptIn, `${key}\n`, { mode: 0o600 });
  return { id: 'embedded', key, isNew: true, keptIn };
}

function readKept(file: string): string {
  const key = readFileSync(file, 'utf8').trim();
  if (key.length < 20)
    throw new ConfigError(`${file} does not hold an admin key; delete it, and a new one is made at the next start.`);
  return key;
}
