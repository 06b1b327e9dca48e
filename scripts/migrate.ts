import { EmbeddedDatabaseError, startEmbedded } from '@baton/coordinator/dist/store/embedded';
import { migrate, MigrationError } from '@baton/coordinator/dist/store/migrate';
import { ConfigError, readConfig } from '@baton/coordinator/dist/config';

/** Brings the database of DATABASE_URL, else the embedded one, to this version. Safe to run at any time, and twice. */
async function main(): Promise<void> {
  const { databaseUrl, dataDir } = readConfig(process.env);
  const log = { info: (line: string) => console.log(line), warn: (line: string) => console.warn(line) };
  const embedded = databaseUrl === undefined ? await startEmbedded({ dataDir, log }) : undefined;
  try {
    const applied = await migrate(databaseUrl ?? embedded?.url ?? '', { log, ownsDatabase: embedded !== undefined });
    console.log(applied.length === 0 ? 'The database is up to date.' : `${applied.length} applied.`);
  } finally {
    await embedded?.stop();
  }
}

main().catch((error: unknown) => {
  const isPlain =
    error instanceof ConfigError || error instanceof MigrationError || error instanceof EmbeddedDatabaseError;
  console.error(isPlain ? error.message : error);
  process.exitCode = 1;
});
