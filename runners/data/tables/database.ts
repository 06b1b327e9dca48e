import { NonRetryableError } from '@baton/runner-sdk';
import { Client } from 'pg';
import type { Databases } from '../settings';

const CONNECT_MS = 10_000;
const STATEMENT_MS = 600_000;

export interface TableName {
  database: string;
  table: string;
}

/**
 * Connects to the database of a table that jobs may use.
 * @throws {NonRetryableError} `data_forbidden_table`
 */
export async function connect(
  databases: Databases,
  { database, table }: TableName,
  access: 'read' | 'write',
): Promise<Client> {
  const url = databases.urls.get(database);
  const [schema, name] = partsOf(table);
  const isAllowed = databases.tables.some(
    (one) =>
      one.database === database &&
      one.schema === schema &&
      (one.table === '*' || one.table === name) &&
      (access === 'read' || !one.isReadOnly),
  );
  if (url === undefined || !isAllowed)
    throw new NonRetryableError(
      `this runner may not ${access} ${database}.${schema}.${name}: DATA_TABLES names what it may`,
      { code: 'data_forbidden_table' },
    );
  const client = new Client({
    ...{ connectionString: url, connectionTimeoutMillis: CONNECT_MS, statement_timeout: STATEMENT_MS },
    application_name: 'baton data',
  });
  // The query that fails reports it.
  client.on('error', () => undefined);
  await client.connect();
  return client;
}

/** Schema and name; a table without a schema is of `public`, whatever the search path is. */
export function partsOf(table: string): [schema: string, name: string] {
  const [first = '', second] = table.split('.');
  return second === undefined ? ['public', first] : [first, second];
}

export function quotedTable(table: string): string {
  return partsOf(table).map(quoted).join('.');
}

export function quoted(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

/** Columns that can be written, in their order. */
export async function columnsOf(client: Client, table: string): Promise<string[]> {
  const { rows } = await client.query<{ name: string }>(
    `SELECT attname AS name FROM pg_attribute
     WHERE attrelid = $1::regclass AND attnum > 0 AND NOT attisdropped AND attgenerated = '' AND attidentity <> 'a'
     ORDER BY attnum`,
    [quotedTable(table)],
  );
  return rows.map(({ name }) => name);
}

/** The columns of the primary key; empty: there is none. */
export async function primaryKeyOf(client: Client, table: string): Promise<string[]> {
  const { rows } = await client.query<{ name: string }>(
    `SELECT a.attname AS name
     FROM pg_index i CROSS JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY AS k (attnum, place)
     JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
     WHERE i.indrelid = $1::regclass AND i.indisprimary
     ORDER BY k.place`,
    [quotedTable(table)],
  );
  return rows.map(({ name }) => name);
}

/** Errors that a retry does not change: a missing table, column or right. Class 42, and 3F for schemas. */
export function told(error: unknown): unknown {
  const { code = '', message = '' } = error as { code?: unknown; message?: string };
  if (typeof code !== 'string' || !/^(42|3F)...$/.test(code)) return error;
  return new NonRetryableError(`the table cannot be used: ${message}`, { code: 'data_bad_table' });
}
