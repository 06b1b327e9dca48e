import { copyFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { EmbeddedDatabase } from '../../coordinator/store/embedded';

/** The environment variable that names a file for all statements of the run, with their parameters and durations. */
export const SQL_LOG = 'TEST_SQL_LOG';

export interface TestServer {
  embedded: EmbeddedDatabase;
  dataDir: string;
}

/** Jest calls it after failures too. */
export default async function tearDown(): Promise<void> {
  const { batonTestServer } = globalThis as { batonTestServer?: TestServer };
  if (batonTestServer === undefined) return;
  await batonTestServer.embedded.stop();
  const sqlLog = process.env[SQL_LOG];
  if (sqlLog !== undefined) copyFileSync(join(batonTestServer.dataDir, 'postgres.log'), sqlLog);
  rmSync(batonTestServer.dataDir, { recursive: true, force: true });
}
