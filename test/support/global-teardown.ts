import { rmSync } from 'node:fs';
import type { EmbeddedDatabase } from '../../coordinator/store/embedded';

export interface TestServer {
  embedded: EmbeddedDatabase;
  dataDir: string;
}

/** Jest calls it after failures too. */
export default async function tearDown(): Promise<void> {
  const { batonTestServer } = globalThis as { batonTestServer?: TestServer };
  if (batonTestServer === undefined) return;
  await batonTestServer.embedded.stop();
  rmSync(batonTestServer.dataDir, { recursive: true, force: true });
}
