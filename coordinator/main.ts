#!/usr/bin/env node
// Imported first, because it must take effect before anything else is loaded.
import './v8-settings';
import { createApp } from './app';
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { type AdminKey, resolveAdminKey } from './admin-key';
import { type Config, ConfigError, readConfig } from './config/config';
import { installAdminKey } from './domain/auth/keys';
import type { Access } from './http/core/access';
import { createJsonLogger, describeError, type Logger } from './logger';
import { readAddress } from './store/connections/address';
import { DatabaseFault } from './store/connections/fault';
import { explainFault } from './store/connections/faults';
import { isUnavailable } from './store/db';
import { EmbeddedDatabaseError, startEmbedded } from './store/embedded';
import { migrate, MigrationError } from './store/migrate';
import type { StartedTracing } from './tracing';

const SHUTDOWN_GRACE_MS = 10_000;
const RETRY_MS = 2000;
/** After this time the start fails, and the supervisor restarts the process. */
const DATABASE_PATIENCE_MS = 60_000;

async function main(): Promise<void> {
  const config = readConfig(process.env);
  const access = withCertificate(config);
  const log = createJsonLogger(config.logLevel);
  const stopping = new AbortController();
  const stopped = onSignal(stopping, log);

  const embedded = config.databaseUrl === undefined ? await startEmbedded({ dataDir: config.dataDir, log }) : undefined;
  const url = config.databaseUrl ?? embedded?.url ?? '';
  // A failed start must not leave PostgreSQL running.
  try {
    await migrateWhenReachable(url, { log, dataDir: embedded?.dataDir }, stopping.signal);
    if (!stopping.signal.aborted) await serve({ ...config, access }, url, resolveAdminKey(config), log, stopped);
  } finally {
    await embedded?.stop();
  }
}

/** The packages are loaded only if tracing is on, so that other starts are not slowed down. */
async function startTracing({ tracing }: Pick<Config, 'tracing'>): Promise<StartedTracing | null> {
  return tracing === null ? null : (await import('./tracing.js')).startTracing(tracing);
}

async function serve(
  config: Omit<Config, 'access'> & { access: Access },
  url: string,
  admin: AdminKey | null,
  log: Logger,
  stopped: Promise<void>,
): Promise<void> {
  const traced = await startTracing(config);
  const app = createApp(config, url, log, traced?.tracing);
  if (admin !== null) await installAdminKey(app.context.db, admin.id, admin.key);
  const port = await app.start();
  log.info('coordinator listens', {
    url: `${config.access.tls === null ? 'http' : 'https'}://${config.host.includes(':') ? `[${config.host}]` : config.host}:${port}`,
    database: config.databaseUrl === undefined ? 'embedded' : 'DATABASE_URL',
  });
  if (admin?.isNew === true)
    log.info(`an admin key was made: ${admin.key}`, { keptIn: admin.keptIn, note: 'it is not printed again' });
  if (admin === null) log.info('no BATON_ADMIN_KEY is set: only keys that exist already can be used');
  await stopped;
  log.info('coordinator drains');
  await app.stop(SHUTDOWN_GRACE_MS);
  await traced?.stop().catch((error: unknown) => log.warn('the last spans were not sent', describeError(error)));
  log.info('coordinator stopped');
}

/**
 * Loads the certificate.
 * @throws {ConfigError} for files that cannot be read
 */
function withCertificate({ access: { tlsFiles, ...access } }: Config): Access {
  const read = (name: string, file: string): string => {
    try {
      return readFileSync(file, 'utf8');
    } catch {
      throw new ConfigError(`${name} is ${file}, which cannot be read.`);
    }
  };
  const tls =
    tlsFiles === null
      ? null
      : { cert: read('BATON_TLS_CERT_FILE', tlsFiles.cert), key: read('BATON_TLS_KEY_FILE', tlsFiles.key) };
  return { ...access, tls };
}

/**
 * Applies migrations. Waits for a limited time for an unavailable database, because it may be starting too.
 * @throws {DatabaseFault} that says why it cannot be used
 */
async function migrateWhenReachable(
  url: string,
  { log, dataDir }: { log: Logger; dataDir: string | undefined },
  signal: AbortSignal,
): Promise<void> {
  const address = readAddress(url);
  const giveUpAt = performance.now() + DATABASE_PATIENCE_MS;
  let lastWords = '';
  while (!signal.aborted) {
    try {
      const applied = await migrate(url, { log, dataDir });
      if (applied.length > 0) log.info('migrations applied', { applied });
      return;
    } catch (error) {
      const known = isPlain(error) ? undefined : explainFault(error, address);
      if (known === undefined && !isUnavailable(error)) throw error;
      if (known !== undefined && (!known.mayPass || performance.now() > giveUpAt)) throw known.fault;
      if (known === undefined && performance.now() > giveUpAt) throw error;
      const words = known?.fault.message ?? describeError(error).error;
      if (words !== lastWords) log.warn(`${String(words)} Waiting for it.`);
      lastWords = String(words);
      await sleep(RETRY_MS, undefined, { signal }).catch(() => undefined);
    }
  }
}

/** Resolves at the first SIGTERM or SIGINT; a second one ends the process at once. */
function onSignal(stopping: AbortController, log: Logger): Promise<void> {
  return new Promise((resolve) => {
    for (const name of ['SIGTERM', 'SIGINT'] as const) {
      process.on(name, () => {
        if (stopping.signal.aborted) process.exit(1);
        log.info(`${name} received`);
        stopping.abort();
        resolve();
      });
    }
  });
}

function isPlain(error: unknown): error is Error {
  return [ConfigError, EmbeddedDatabaseError, MigrationError, DatabaseFault].some((kind) => error instanceof kind);
}

/** Errors that an operator can fix are one line; all others have a stack. */
function describeStart(error: unknown): string {
  if (isPlain(error)) return error.message;
  if (error instanceof Error && 'code' in error && error.code === 'EADDRINUSE') {
    return `PORT ${'port' in error ? String(error.port) : ''} is in use by another process; end it, or set PORT to a free one.`;
  }
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}

main().then(
  () => process.exit(0),
  (error: unknown) => {
    process.stderr.write(`baton: ${describeStart(error)}\n`);
    process.exit(1);
  },
);
