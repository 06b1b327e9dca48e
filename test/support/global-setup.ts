import { chmodSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client } from 'pg';
import { type EmbeddedDatabase, startEmbedded } from '../../coordinator/store/embedded';
import { isAlive } from '../../coordinator/store/embedded/process';
import { migrate } from '../../coordinator/store/migrate';
import { SERVER_URL, TEMPLATE } from './database';
import tearDown, { SQL_LOG, type TestServer } from './global-teardown';

const PREFIX = 'baton-test-';
const log = { info: () => undefined, warn: (message: string) => process.stderr.write(`${message}\n`) };

/** One PostgreSQL for the whole run, and in it the template that every test file's database is cloned from. */
export default async function setUp(): Promise<void> {
  await sweep();
  const dataDir = mkdtempSync(join(tmpdir(), `${PREFIX}${process.pid}-`));
  // As root the server runs as another user, who must be able to enter.
  chmodSync(dataDir, 0o755);
  const settings = {
    fsync: 'off',
    synchronous_commit: 'off',
    full_page_writes: 'off',
    max_connections: '300',
    ...(process.env[SQL_LOG] === undefined ? {} : { log_min_duration_statement: '0' }),
  };
  const embedded = await startEmbedded({ dataDir, log, settings });
  Object.assign(globalThis, { batonTestServer: { embedded, dataDir } satisfies TestServer });
  process.env[SERVER_URL] = embedded.url;
  try {
    await makeTemplate(embedded);
  } catch (error) {
    // Jest tears nothing down that was not set up.
    await tearDown();
    throw error;
  }
}

async function makeTemplate(embedded: EmbeddedDatabase): Promise<void> {
  const client = new Client({ connectionString: embedded.url });
  await client.connect();
  await client.query(`CREATE DATABASE ${TEMPLATE}`);
  await client.end();
  const template = new URL(embedded.url);
  template.pathname = TEMPLATE;
  await migrate(template.href, { log });
}

/** A run that was killed leaves its server behind; the next run ends it. */
async function sweep(): Promise<void> {
  for (const name of readdirSync(tmpdir())) {
    const pid = new RegExp(`^${PREFIX}(\\d+)-`).exec(name)?.[1];
    if (pid === undefined || isAlive(Number(pid))) continue;
    const dataDir = join(tmpdir(), name);
    await startEmbedded({ dataDir, log })
      .then((embedded: EmbeddedDatabase) => embedded.stop())
      .catch(() => undefined);
    rmSync(dataDir, { recursive: true, force: true });
  }
}
