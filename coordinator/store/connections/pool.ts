import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { Pool, type PoolClient, type PoolConfig } from 'pg';
import type { Route } from './route';
import {
  answered,
  backendPid,
  findPrimary,
  pin,
  SessionClient,
  sessionConfig,
  type SessionOptions,
  SilentDatabase,
  triedAgain,
} from './session';

/** A statement with its values, as made by `Prisma.sql`. */
interface Statement {
  text: string;
  values: unknown[];
}

export interface PoolOptions extends SessionOptions {
  max: number;
  /** How long an answer may take before the connection is considered dead. Longer than the statement timeout. */
  answerTimeoutMs: number;
  /** Whether statements are prepared by name, once per connection. Only for pools with few statement texts. */
  isPrepared: boolean;
  onError: (error: Error) => void;
}

type OnConnect = NonNullable<PoolConfig['onConnect']>;

/** What the pools of one coordinator know about their connections to one address. */
export class Liveness {
  private suspectSince = -Infinity;
  private readonly heardAt = new WeakMap<PoolClient, number>();

  constructor(readonly route: Route) {}

  heard(client: PoolClient): void {
    this.heardAt.set(client, performance.now());
  }

  /**
   * A connection stopped answering: connections last heard from before it was asked may be dead too, and another server
   * may be the primary soon.
   */
  suspect(askedAt: number): void {
    this.suspectSince = Math.max(this.suspectSince, askedAt);
    void findPrimary(this.route);
  }

  /** Also one to a server that was the primary. */
  isSuspect(client: PoolClient): boolean {
    const { server } = client as unknown as SessionClient;
    return server !== this.route.server || (this.heardAt.get(client) ?? Infinity) < this.suspectSince;
  }
}

const FAREWELL_MS = 2000;
const BACKSTOP_MS = 2000;
/**
 * Some statement texts depend on the request. Beyond this many texts the rest are not named, because every named one
 * stays in every backend.
 */
const MOST_NAMES = 256;

/** Connections of one kind. */
export class SessionPool {
  readonly pool: Pool;
  private readonly names = new Map<string, string>();

  constructor(
    private readonly liveness: Liveness,
    private readonly options: PoolOptions,
  ) {
    const { route } = liveness;
    const config: PoolConfig = {
      ...sessionConfig(route, options),
      max: options.max,
      Client: SessionClient as unknown as NonNullable<PoolConfig['Client']>,
      // The pool awaits the returned promise, although its types do not declare that.
      onConnect: ((client: PoolClient) => pin(client, route, options)) as unknown as OnConnect,
      // For Prisma's adapter, which bypasses `PooledSession`; the timeout of `PooledSession` is shorter and its error
      // is clearer.
      query_timeout: options.answerTimeoutMs + BACKSTOP_MS,
    };
    this.pool = new Pool(config);
    // An idle connection that breaks must not end the process.
    this.pool.on('error', options.onError);
    this.pool.on('connect', (client) => liveness.heard(client));
  }

  /** Runs work on one connection, which is discarded if it may be dead or cannot be reused. */
  async with<T>(work: (session: PooledSession) => Promise<T>): Promise<T> {
    const session = new PooledSession(await this.connect(), this.liveness, this.options, this.names);
    try {
      return await work(session);
    } catch (error) {
      if (isLastOf(error)) session.discard();
      throw error;
    } finally {
      session.release();
    }
  }

  /**
   * `Pool.end` resolves when the closing messages are sent; `remove` is emitted when the server has closed too. A
   * server that is stopped between the two breaks its connections instead of ending them. A server that does not answer
   * is not waited for.
   */
  async end(): Promise<void> {
    const { pool } = this;
    let open = pool.totalCount;
    const ended = new Promise<void>((resolve) => {
      if (open === 0) resolve();
      pool.on('remove', () => (open -= 1) === 0 && resolve());
    });
    await pool.end();
    await Promise.race([ended, sleep(FAREWELL_MS, undefined, { ref: false })]);
  }

  private connect(): Promise<PoolClient> {
    return triedAgain(this.liveness.route, async () => {
      for (;;) {
        const client = await this.pool.connect();
        if (!this.liveness.isSuspect(client)) return client;
        client.release(true);
      }
    });
  }
}

/** A connection while it is checked out. */
export class PooledSession {
  private isBroken = false;
  private readonly onError = (): void => void (this.isBroken = true);

  constructor(
    private readonly client: PoolClient,
    private readonly liveness: Liveness,
    private readonly options: PoolOptions,
    private readonly names: Map<string, string>,
  ) {
    // Without a listener, a connection that breaks between two statements would end the process.
    client.on('error', this.onError);
  }

  get pid(): number | undefined {
    return backendPid(this.client);
  }

  async query<Row>({ text, values }: Statement): Promise<Row[]> {
    const askedAt = performance.now();
    const name = this.options.isPrepared ? this.nameOf(text) : undefined;
    try {
      const { rows } = await answered(this.client, this.options.answerTimeoutMs, () =>
        this.client.query({ ...(name === undefined ? {} : { name }), text, values }),
      );
      this.liveness.heard(this.client);
      return rows as Row[];
    } catch (error) {
      if (error instanceof SilentDatabase) this.liveness.suspect(askedAt);
      throw error;
    }
  }

  async run(command: 'BEGIN' | 'COMMIT'): Promise<void> {
    await this.query({ text: command, values: [] });
  }

  /** A connection that cannot roll back is discarded; otherwise its open transaction would be the next caller's. */
  async rollBack(): Promise<void> {
    if (this.isBroken) return;
    await this.query({ text: 'ROLLBACK', values: [] }).catch(() => this.discard());
  }

  discard(): void {
    this.isBroken = true;
  }

  release(): void {
    this.client.off('error', this.onError);
    this.client.release(this.isBroken);
  }

  private nameOf(text: string): string | undefined {
    const known = this.names.get(text);
    if (known !== undefined) return known;
    if (this.names.size >= MOST_NAMES) return undefined;
    const name = createHash('sha1').update(text).digest('base64url');
    this.names.set(text, name);
    return name;
  }
}

/**
 * Errors after which the connection cannot be reused: it may be dead, the server closes it, or it leads to a standby
 * after a failover.
 */
function isLastOf(error: unknown): boolean {
  if (error instanceof SilentDatabase) return true;
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  return /^(08...|25006|25P03|57P0.)$/.test(code);
}
