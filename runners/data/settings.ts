import { setting, SettingsError } from '@baton/runner-kit';

const DATABASE_PREFIX = 'DATA_DATABASE_';

export const dataSettings = {
  DATA_TABLES: setting.list().default([]),
  DATA_MOST_SPILL_MB: setting.wholeNumber(1, 1_000_000).default(4096),
};

export function isNamedSetting(name: string): boolean {
  return name.startsWith(DATABASE_PREFIX);
}

/** What jobs may read and write. */
export interface Databases {
  /** URLs by name. */
  urls: ReadonlyMap<string, string>;
  tables: readonly AllowedTable[];
}

interface AllowedTable {
  database: string;
  schema: string;
  /** `*`: every table of the schema. */
  table: string;
  isReadOnly: boolean;
}

const ALLOWED = /^([A-Z0-9_]+)\.([A-Za-z_][\w$]*)\.(\*|[A-Za-z_][\w$]*)(:read)?$/;

/** @throws {SettingsError} for a table of a database that is not set, and for an invalid table */
export function readDatabases(tables: string[], env: Record<string, string | undefined> = process.env): Databases {
  const urls = new Map<string, string>();
  for (const [name, url = ''] of Object.entries(env)) {
    if (!name.startsWith(DATABASE_PREFIX) || url === '') continue;
    if (!/^postgres(ql)?:\/\//.test(url))
      throw new SettingsError(`${name} must be a URL such as postgresql://host/name`);
    urls.set(name.slice(DATABASE_PREFIX.length), url);
  }
  return { urls, tables: tables.map((text) => allowedOf(text, urls)) };
}

function allowedOf(text: string, urls: ReadonlyMap<string, string>): AllowedTable {
  const [, database, schema, table, read] = ALLOWED.exec(text) ?? [];
  if (database === undefined || schema === undefined || table === undefined)
    throw new SettingsError(
      `DATA_TABLES must be a list such as APP.public.contacts,APP.public.orders:read,APP.import.*; ${JSON.stringify(text)} is none`,
    );
  if (!urls.has(database))
    throw new SettingsError(`DATA_TABLES names ${text}, but ${DATABASE_PREFIX}${database} is not set`);
  return { database, schema, table, isReadOnly: read !== undefined };
}
