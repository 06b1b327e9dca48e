import { randomBytes } from 'node:crypto';
import { Client } from 'pg';

/** The environment variable through which the run's server reaches the test files. */
export const SERVER_URL = 'TEST_DATABASE_SERVER';
export const TEMPLATE = 'baton_template';

export interface TestDatabase {
  url: string;
  /** Cuts the connections that are left and removes the database. */
  drop(): Promise<void>;
}

/**
 * A migrated database of its own for one test file, cloned in a few milliseconds; `{ migrated: false }`: an empty one.
 */
export async function createTestDatabase(options: { migrated?: boolean } = {}): Promise<TestDatabase> {
  const name = `test_${process.pid}_${randomBytes(6).toString('hex')}`;
  const template = (options.migrated ?? true) ? TEMPLATE : 'template0';
  await runOnServer(`CREATE DATABASE ${name} TEMPLATE ${template} STRATEGY FILE_COPY`);
  const url = serverUrl();
  url.pathname = name;
  return { url: url.href, drop: () => runOnServer(`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`) };
}

async function runOnServer(statement: string): Promise<void> {
  const client = new Client({ connectionString: serverUrl().href });
  await client.connect();
  try {
    await client.query(statement);
  } finally {
    await client.end();
  }
}

function serverUrl(): URL {
  const url = process.env[SERVER_URL];
  if (url === undefined)
    throw new Error('There is no test server: run the tests through jest, from the root of the project.');
  return new URL(url);
}
