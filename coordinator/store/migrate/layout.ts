import { type Client, escapeIdentifier } from 'pg';
import { type DatabaseAddress, DEFAULT_SCHEMA } from '../connections/address';
import { MigrationError } from './files';

/**
 * The first migration of the versions before 0.1. Their migrations were merged into one, so their tables cannot be
 * upgraded to this version.
 */
const FIRST_BEFORE = '0001_jobs';

/** The schema of tables in those versions when `DATABASE_URL` named none. */
const PUBLIC = 'public';

/** Creates the schema of the tables if it does not exist, which needs a right that few roles have. */
export async function ensureSchema(client: Client, { schema }: DatabaseAddress): Promise<void> {
  const { rows } = await client.query('SELECT 1 FROM pg_namespace WHERE nspname = $1', [schema]);
  if (rows.length === 0) await client.query(`CREATE SCHEMA IF NOT EXISTS ${escapeIdentifier(schema)}`);
}

/**
 * Checks that the tables of this address can be used. Only reads.
 * @param applied the migrations in the schema of this address
 * @param dataDir the folder of an embedded database
 * @throws {MigrationError} when this schema has the tables of a version before 0.1, or when `public` has Baton's tables
 * while the address names no schema and the default schema has none
 */
export async function requireUsable(
  client: Client,
  address: DatabaseAddress,
  applied: string[],
  first: string,
  dataDir: string | undefined,
): Promise<void> {
  if (applied.includes(FIRST_BEFORE)) throw tooOld(address.schema, dataDir);
  if (applied.length > 0 || address.namesSchema || address.schema === PUBLIC) return;
  const inPublic = await firstInPublic(client, [FIRST_BEFORE, first]);
  if (inPublic === FIRST_BEFORE) throw tooOld(PUBLIC, dataDir);
  if (inPublic !== undefined)
    throw new MigrationError(
      `This database has Baton's tables in the schema ${PUBLIC}, and DATABASE_URL names none, which means ${DEFAULT_SCHEMA}. ` +
        `Add ?schema=${PUBLIC} to DATABASE_URL to use those, or ?schema=${DEFAULT_SCHEMA} to begin with empty ones.`,
    );
}

/**
 * Does not mistake tables of other programs for Baton's: the bookkeeping must name Baton's first migration, and the
 * table of jobs must exist beside it.
 */
async function firstInPublic(client: Client, names: string[]): Promise<string | undefined> {
  const { rows } = await client.query<{ isOurs: boolean }>(
    `SELECT to_regclass('${PUBLIC}."_prisma_migrations"') IS NOT NULL AND to_regclass('${PUBLIC}.jobs') IS NOT NULL
       AND to_regclass('${PUBLIC}.idempotency_keys') IS NOT NULL AS "isOurs"`,
  );
  if (rows[0]?.isOurs !== true) return undefined;
  const books = await client.query<{ name: string }>(
    `SELECT migration_name AS name FROM ${PUBLIC}."_prisma_migrations" WHERE migration_name = ANY ($1) LIMIT 1`,
    [names],
  );
  return books.rows[0]?.name;
}

function tooOld(schema: string, dataDir: string | undefined): MigrationError {
  const [where, remedy] =
    dataDir === undefined
      ? [`The schema ${schema} of this database`, 'DATABASE_URL to another database, or to another schema (?schema=)']
      : [`The database in ${dataDir}`, 'BATON_DATA_DIR to another folder'];
  return new MigrationError(
    `${where} was made by a version of Baton before 0.1, which cannot be upgraded; nothing in it was changed. Set ${remedy}, and start again.`,
  );
}
