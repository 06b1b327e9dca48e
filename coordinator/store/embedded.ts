import { mkdirSync, realpathSync } from 'node:fs';
import { resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { EmbeddedDatabaseError } from './embedded/account';
import { DATABASE_NAME, ensureCluster } from './embedded/cluster';
import { findInstallation, type Installation } from './embedded/installation';
import { type ServerLock, lockServer } from './embedded/server-lock';
import { chooseLocation, type DataLocation } from './embedded/location';
import { findPort, findPostmaster, lastPort, launch, type Postmaster, settled, shutDown } from './embedded/postmaster';

export { EmbeddedDatabaseError };

export interface EmbeddedOptions {
  /**
   * Contains the data, or says where they are, and the password. Created if absent; relative to the working directory.
   */
  dataDir: string;
  log: { info(message: string): unknown; warn(message: string): unknown };
  /** Server settings that override those of this file, such as `{ fsync: 'off' }` for tests. */
  settings?: Record<string, string>;
  /**
   * When run as root: where data and programs go if the server's user cannot reach them in place. Default
   * `/var/lib/baton`.
   */
  systemDir?: string;
}

export interface EmbeddedDatabase {
  /** The data directory, as an absolute path. */
  dataDir: string;
  /** URL of the owner's connection, with password. It stays the same for as long as this object lives. */
  url: string;
  /** Whether the server was already running: left by a coordinator that was killed, or shared with a running one. */
  adopted: boolean;
  /** Stops the server and waits for it, unless another process uses it too: the last process to stop ends it. */
  stop(): Promise<void>;
}

/** For a laptop: durable, little memory, reachable only from this machine. */
const SETTINGS = {
  listen_addresses: '127.0.0.1',
  unix_socket_directories: '',
  shared_buffers: '128MB',
  max_connections: '100',
  wal_level: 'minimal',
  max_wal_senders: '0',
  max_wal_size: '512MB',
  jit: 'off',
  timezone: 'UTC',
  log_timezone: 'UTC',
  log_checkpoints: 'off',
  log_line_prefix: '%m [%p] ',
};
const GIVE_UP_MS = 60_000;
const RETRY_MS = 250;

/**
 * Starts the PostgreSQL that comes with Baton, or adopts the one that already runs on this data directory. If it dies
 * while it is in use, it is restarted on the same port.
 * @throws {EmbeddedDatabaseError} with one line that says what is wrong and what to do
 */
export async function startEmbedded(options: EmbeddedOptions): Promise<EmbeddedDatabase> {
  const dataDir = canonical(options.dataDir);
  const systemDir = options.systemDir ?? '/var/lib/baton';
  const location = chooseLocation(dataDir, systemDir);
  const installation = findInstallation(location.account, location.account === undefined ? dataDir : systemDir);
  await ensureCluster(location, installation);
  const server = new Server(location, installation, options);
  const adopted = await server.start();
  return { dataDir, url: server.url(), adopted, stop: () => server.stop() };
}

class Server {
  private port: number | undefined;
  private launched: Postmaster | undefined;
  private serverLock: ServerLock | undefined;
  private stopping: Promise<void> | undefined;
  private reviving: Promise<void> = Promise.resolve();

  constructor(
    private readonly location: DataLocation,
    private readonly installation: Installation,
    private readonly options: EmbeddedOptions,
  ) {}

  /** @returns whether the server was running already. */
  async start(): Promise<boolean> {
    const giveUpAt = performance.now() + GIVE_UP_MS;
    for (;;) {
      try {
        return await this.bringUp();
      } catch (error) {
        // A server that was found may be shutting down, and one that died may still have running children.
        if (error instanceof EmbeddedDatabaseError || performance.now() > giveUpAt) {
          if (this.launched !== undefined) await shutDown(this.launched, this.location.clusterDir);
          throw error;
        }
        await sleep(RETRY_MS);
      }
    }
  }

  url(database = DATABASE_NAME): string {
    return `postgresql://${DATABASE_NAME}:${encodeURIComponent(this.location.password)}@127.0.0.1:${this.port}/${database}?sslmode=disable`;
  }

  stop(): Promise<void> {
    this.stopping ??= this.end();
    return this.stopping;
  }

  private async bringUp(): Promise<boolean> {
    const running = await settled(this.location.clusterDir);
    const postmaster = running ?? (await this.launch());
    if (this.port !== undefined && this.port !== postmaster.port) {
      throw new Error(`it now listens on port ${postmaster.port} instead of ${this.port}`);
    }
    this.port = postmaster.port;
    this.serverLock = await lockServer(
      (database) => this.url(database),
      () => this.revive(),
    );
    return running !== undefined;
  }

  private async launch(): Promise<Postmaster> {
    const port = this.port ?? (await findPort(lastPort(this.location.clusterDir)));
    const settings = { ...SETTINGS, ...this.options.settings };
    const postmaster = await launch(this.location, this.installation, { port, settings });
    if (postmaster === undefined) throw new Error(`another server still uses ${this.location.clusterDir}`);
    this.launched = postmaster;
    return postmaster;
  }

  /** The connection that marks the server as in use broke: the server died, or was restarted by hand. */
  private revive(): void {
    this.serverLock = undefined;
    if (this.stopping !== undefined) return;
    this.options.log.warn('The embedded database went away; starting it again.');
    this.reviving = this.tryUntilUp();
  }

  private async tryUntilUp(): Promise<void> {
    let lastFault = '';
    while (this.stopping === undefined) {
      try {
        await this.bringUp();
        this.options.log.info('The embedded database is back.');
        return;
      } catch (error) {
        const fault = error instanceof Error ? error.message : String(error);
        if (fault !== lastFault) this.options.log.warn(`The embedded database is still away: ${fault}`);
        lastFault = fault;
        await sleep(RETRY_MS);
      }
    }
  }

  private async end(): Promise<void> {
    await this.reviving;
    const isShared = this.serverLock !== undefined && !(await this.serverLock.release());
    if (isShared) return;
    const postmaster = findPostmaster(this.location.clusterDir);
    if (postmaster !== undefined) await shutDown(postmaster, this.location.clusterDir);
  }
}

function canonical(dataDir: string): string {
  const path = resolve(dataDir);
  try {
    mkdirSync(path, { recursive: true });
    return realpathSync(path);
  } catch (error) {
    throw new EmbeddedDatabaseError(
      `The data directory ${path} cannot be made: ${error instanceof Error ? error.message : String(error)}. Set BATON_DATA_DIR to a folder that can be written.`,
    );
  }
}
