import { readAddress } from './store/connections/address';
import { DatabaseFault } from './store/connections/fault';
import { explainFault } from './store/connections/faults';
import { EmbeddedDatabaseError, startEmbedded } from './store/embedded';
import { migrate, MigrationError } from './store/migrate';
import { ConfigError, readConfig } from './config/config';

/**
 * Migrates the database of DATABASE_URL, or else the embedded one, to this version. Safe to run at any time, and
 * repeatedly.
 */
async function main(): Promise<void> {
  const { databaseUrl, dataDir } = readConfig(process.env);
  const log = {
    info: (line: string) => write(process.stdout, line),
    warn: (line: string) => write(process.stderr, line),
  };
  const embedded = databaseUrl === undefined ? await startEmbedded({ dataDir, log }) : undefined;
  try {
    const url = databaseUrl ?? embedded?.url ?? '';
    const applied = await migrate(url, { log, dataDir: embedded?.dataDir }).catch((error: unknown) => {
      throw explainFault(error, readAddress(url))?.fault ?? error;
    });
    write(process.stdout, applied.length === 0 ? 'The database is up to date.' : `${applied.length} applied.`);
  } finally {
    await embedded?.stop();
  }
}

/** What an operator can put right is one line; all else has a stack. */
function describe(isPlain: boolean, error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return isPlain ? error.message : (error.stack ?? error.message);
}

function write(stream: NodeJS.WriteStream, line: string): void {
  stream.write(`${line}\n`);
}

main().catch((error: unknown) => {
  const isPlain = [ConfigError, MigrationError, EmbeddedDatabaseError, DatabaseFault].some(
    (kind) => error instanceof kind,
  );
  write(process.stderr, describe(isPlain, error));
  process.exitCode = 1;
});
