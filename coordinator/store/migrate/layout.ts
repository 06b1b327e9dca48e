import { type Client, escapeIdentifier } from 'pg';
import { type DatabaseAddress, DEFAULT_SCHEMA } from '../connections/address';
import { MigrationError } from './files';

/** Where Baton's tables were when it had no schema of its own. */
const OLD_SCHEMA = 'public';

/** Makes the schema of the tables when it is not there yet, which takes a right that few roles have. */
export async function ensureSchema(client: Client, { schema }: DatabaseAddress): Promise<void> {
  if (!(await hasSchema(client, schema))) await client.query(`CREATE SCHEMA IF NOT EXISTS ${escapeIdentifier(schema)}`);
}

/**
 * Whether Baton's tables are in `public`, as an older version made them, and not in the schema of this address. Tables of
 * other programs are not taken for Baton's: the bookkeeping must name its first migration, with its jobs beside it.
 */
export async function hasOldLayout(client: Client, address: DatabaseAddress, firstMigration: string): Promise<boolean> {
  if (address.namesSchema || address.schema === OLD_SCHEMA) return false;
  const { rows } = await client.query<{ isOld: boolean }>(
    `SELECT to_regclass($1 || '."_prisma_migrations"') IS NULL AND to_regclass('${OLD_SCHEMA}."_prisma_migrations"') IS NOT NULL
       AND to_regclass('${OLD_SCHEMA}.jobs') IS NOT NULL AND to_regclass('${OLD_SCHEMA}.idempotency_keys') IS NOT NULL AS "isOld"`,
    [escapeIdentifier(address.schema)],
  );
  if (rows[0]?.isOld !== true) return false;
  const books = await client.query(
    `SELECT 1 FROM ${OLD_SCHEMA}."_prisma_migrations" WHERE migration_name = $1 LIMIT 1`,
    [firstMigration],
  );
  return books.rows.length > 0;
}

export function oldLayout(): MigrationError {
  return new MigrationError(
    `This database has Baton's tables in the schema ${OLD_SCHEMA}, where versions before 0.1 made them, and this version uses the schema ` +
      `${DEFAULT_SCHEMA}. Add ?schema=${OLD_SCHEMA} to DATABASE_URL to keep them there.`,
  );
}

/**
 * Gives the tables of an older version, in a database that holds nothing else, the schema of this one. Functions keep the
 * path that they were made with, so theirs is set anew.
 */
export async function moveOldLayout(client: Client, { schema }: DatabaseAddress): Promise<void> {
  const name = escapeIdentifier(schema);
  await client.query('BEGIN');
  try {
    if (await hasSchema(client, schema)) await client.query(`DROP SCHEMA ${name}`);
    await client.query(`ALTER SCHEMA ${OLD_SCHEMA} RENAME TO ${name}`);
    await client.query(`CREATE SCHEMA ${OLD_SCHEMA}`);
    const { rows } = await client.query<{ signature: string }>(
      `SELECT p.oid::regprocedure::text AS signature FROM pg_proc p
       WHERE p.pronamespace = to_regnamespace($1) AND array_to_string(p.proconfig, ',') LIKE '%search_path=%'`,
      [name],
    );
    for (const { signature } of rows)
      await client.query(`ALTER FUNCTION ${signature} SET search_path = ${name}, pg_temp`);
    // So that psql finds the tables, as in a database that is made anew.
    await client.query(`ALTER ROLE CURRENT_USER SET search_path = ${name}, ${OLD_SCHEMA}`);
    await client.query('COMMIT');
  } catch (error) {
    await client.query('ROLLBACK').catch(() => undefined);
    throw error;
  }
}

async function hasSchema(client: Client, schema: string): Promise<boolean> {
  const { rows } = await client.query('SELECT 1 FROM pg_namespace WHERE nspname = $1', [schema]);
  return rows.length > 0;
}
