import { readAddress } from '@baton/coordinator/dist/store/connections/address';
import { DatabaseFault } from '@baton/coordinator/dist/store/connections/fault';
import { explainFault } from '@baton/coordinator/dist/store/connections/faults';
import { EmbeddedDatabaseError, startEmbedded } from '@baton/coordinator/dist/store/embedded';
import { migrate, MigrationError } from '@baton/coordinator/dist/store/migrate';
import { ConfigError, readConfig } from '@baton/coordinator/dist/config/config';

/**
 * Migrates the database of DATABASE_URL, or else the embedded one, to this version. Safe to run at any time, and
 * repeatedly.
 */
async function main(): Promise<void> {
  const { databaseUrl, dataDir } = readConfig(process.env);
  const log = { info: (line: string) => console.log(line), warn: (line: string) => console.warn(line) };
  const embedded = databaseUrl === undefined ? await startEmbedded({ dataDir, log }) : undefined;
  try {
    const url = databaseUrl ?? embedded?.url ?? '';
    const applied = await migrate(url, { log, dataDir: embedded?.dataDir }).catch((error: unknown) => {
      throw explainFault(error, readAddress(url))?.fault ?? error;
    });
    console.log(applied.length === 0 ? 'The database is up to date.' : `${applied.length} applied.`);
  } finally {
    await embedded?.stop();
  }
}

main().catch((error: unknown) => {
  const isPlain = [ConfigError, MigrationError, EmbeddedDatabaseError, DatabaseFault].some(
    (kind) => error instanceof kind,
  );
  console.error(isPlain && error instanceof Error ? error.message : error);
  process.exitCode = 1;
});
