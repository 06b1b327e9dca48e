import { Client, type ClientBase, type ClientConfig, DatabaseError, escapeIdentifier, escapeLiteral } from 'pg';
import type { DatabaseServer } from './address';
import type { Primary, Route } from './route';
import { VALUES } from '../values';

/** Options of a kind of session. */
export interface SessionOptions {
  applicationName: string;
  /** PostgreSQL ends a statement that takes longer; 0: none. */
  statementTimeoutMs: number;
  /** Settings of this kind of session, overriding those of all sessions. */
  settings?: Readonly<Record<string, string>>;
  /** How long connecting may take. */
  connectTimeoutMs?: number;
}

export const CONNECT_TIMEOUT_MS = 5000;
const IDLE_IN_TRANSACTION_TIMEOUT_MS = 15_000;
/** Idle time before the first keep-alive probe; Node then sends ten, a second apart. */
const KEEP_ALIVE_AFTER_MS = 3000;

/**
 * Every statement has an index for its access path. Statistics go stale within seconds here, because tables grow and
 * empty, and one plan with a sequential scan may then read a million rows. So sequential scans are disabled, and random
 * pages cost next to nothing; otherwise the planner merge-joins a few rows with a whole table as soon as it estimates
 * them at a hundredth of it. No plan here is worth compiling or running in parallel.
 */
const PLANNER = {
  enable_seqscan: 'off',
  random_page_cost: '0.01',
  jit: 'off',
  max_parallel_workers_per_gather: '0',
};

/** Planner options that must be on: PostgreSQL's defaults, in case a role or a database has others. */
const PLANNER_DEFAULTS = {
  ...Object.fromEntries(
    ['indexscan', 'indexonlyscan', 'bitmapscan', 'tidscan', 'nestloop', 'hashjoin', 'mergejoin', 'hashagg', 'sort']
      .concat('material', 'memoize', 'incremental_sort')
      .map((method) => [`enable_${method}`, 'on']),
  ),
  seq_page_cost: '1',
  cpu_tuple_cost: '0.01',
  cpu_index_tuple_cost: '0.005',
  cpu_operator_cost: '0.0025',
  from_collapse_limit: '8',
  join_collapse_limit: '8',
  geqo: 'on',
  geqo_threshold: '12',
  constraint_exclusion: 'partition',
  cursor_tuple_fraction: '0.1',
  gin_fuzzy_search_limit: '0',
};

/** The planner settings as startup options, for tests that check plans. */
export const PLANNING = Object.entries(PLANNER)
  .map(([name, value]) => `-c ${name}=${value}`)
  .join(' ');

/**
 * Settings that correctness relies on. They override those of the role, the database, `options` of the address and the
 * environment.
 */
const CORRECTNESS = {
  default_transaction_isolation: 'read committed',
  default_transaction_read_only: 'off',
  default_transaction_deferrable: 'off',
  client_encoding: 'UTF8',
  datestyle: 'ISO, MDY',
  intervalstyle: 'postgres',
  timezone: 'UTC',
  extra_float_digits: '1',
  bytea_output: 'hex',
  array_nulls: 'on',
  standard_conforming_strings: 'on',
  backslash_quote: 'safe_encoding',
  transform_null_equals: 'off',
  xmloption: 'content',
  row_security: 'on',
  check_function_bodies: 'on',
  default_table_access_method: 'heap',
  exit_on_error: 'off',
  lock_timeout: '0',
  idle_session_timeout: '0',
  transaction_timeout: '0',
  idle_in_transaction_session_timeout: String(IDLE_IN_TRANSACTION_TIMEOUT_MS),
};

/**
 * Lets PostgreSQL notice a client that vanished, and free its locks. Not every server platform supports these, so they
 * may be refused.
 */
const LIVELINESS = {
  client_connection_check_interval: '5000',
  tcp_user_timeout: '10000',
  tcp_keepalives_idle: '10',
  tcp_keepalives_interval: '3',
  tcp_keepalives_count: '3',
};

export interface SessionConfig extends ClientConfig {
  route: Route;
}

/** A `pg` connection that ignores environment variables except for what the address leaves open. */
export class SessionClient extends Client {
  constructor(
    config: SessionConfig,
    readonly server: DatabaseServer = config.route.server,
  ) {
    const { route } = config;
    // The pool's config has the password as a property that a copy does not include.
    super({ ...config, ...server, password: config.password, ssl: route.ssl });
    const parameters = (this as unknown as { connectionParameters: Record<string, unknown> }).connectionParameters;
    parameters['options'] = route.address.options;
    parameters['replication'] = undefined;
  }
}

/** The `pg` config of a session, also used for pools. */
export function sessionConfig(route: Route, options: SessionOptions): SessionConfig {
  const { user, password, database } = route.address;
  return {
    route,
    ...(user === undefined ? {} : { user }),
    ...(password === undefined ? {} : { password }),
    ...(database === undefined ? {} : { database }),
    sslnegotiation: 'postgres',
    application_name: options.applicationName,
    client_encoding: 'UTF8',
    connectionTimeoutMillis: options.connectTimeoutMs ?? CONNECT_TIMEOUT_MS,
    types: VALUES,
    keepAlive: true,
    keepAliveInitialDelayMillis: KEEP_ALIVE_AFTER_MS,
  };
}

const backends = new WeakMap<ClientBase, number>();

/** Process id of the backend that serves a session; behind a pooler the driver's own value is the pooler's. */
export function backendPid(client: ClientBase): number | undefined {
  return backends.get(client);
}

/**
 * Sets what Baton relies on by statements after the start. These override role, database and `options`, and poolers,
 * which refuse startup options, pass them on.
 * @throws the connection's error, also when it does not answer in time
 * @throws {NotPrimaryError} when the server takes no writes, or is a former primary, and the address names others
 */
export async function pin(client: Client, route: Route, options: SessionOptions): Promise<void> {
  const settings = {
    ...CORRECTNESS,
    ...PLANNER_DEFAULTS,
    ...PLANNER,
    search_path: `${escapeIdentifier(route.address.schema)}, pg_temp`,
    ...options.settings,
  };
  // Older servers lack some of these settings.
  const text = `
    SELECT set_config(s.name, s.value, false) FROM (VALUES ${pairs(settings)}) AS s (name, value)
    WHERE current_setting(s.name, true) IS NOT NULL;
    DO $do$ BEGIN
      PERFORM set_config(s.name, s.value, false) FROM (VALUES ${pairs(LIVELINESS)}) AS s (name, value);
    EXCEPTION WHEN OTHERS THEN NULL;
    END $do$;
    SELECT pg_backend_pid() AS pid`;
  const results = await answered(client, CONNECT_TIMEOUT_MS, async () => {
    // Separate and first: the timeout that it replaces must not cancel the other settings.
    await client.query(`SET statement_timeout = ${options.statementTimeoutMs}`);
    return (await client.query(text)) as unknown as { rows: { pid: number }[] }[];
  });
  if (route.hasChoice && !route.accept(await requireTimeline(client))) throw new NotPrimaryError('former primary');
  backends.set(client, results.at(-1)?.rows[0]?.pid ?? 0);
}

/** Another server of the address may be the primary. */
export class NotPrimaryError extends Error {
  /** PostgreSQL's for a write on a standby. */
  readonly code = '25006';
  constructor(is: 'standby' | 'former primary') {
    super(`The server is a ${is}.`);
  }
}

const TIMELINE = `
  SELECT CASE WHEN NOT pg_is_in_recovery()
    THEN ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::int END AS timeline`;

/**
 * The timeline that the server writes. Zero for servers that are compatible with PostgreSQL and have none.
 * @throws {NotPrimaryError} when it takes no writes
 */
async function requireTimeline(client: Client): Promise<number> {
  const ask = async (text: string): Promise<number | null> =>
    (await answered(client, CONNECT_TIMEOUT_MS, () => client.query<{ timeline: number | null }>(text))).rows[0]
      ?.timeline ?? null;
  const timeline = await ask(TIMELINE).catch((error: unknown) => {
    if (!(error instanceof DatabaseError)) throw error;
    return ask('SELECT CASE WHEN NOT pg_is_in_recovery() THEN 0 END AS timeline');
  });
  if (timeline === null) throw new NotPrimaryError('standby');
  return timeline;
}

/**
 * Closes a connection whose server does not answer in time, which fails everything that waits for it. An answer that
 * arrived while this process was busy still counts.
 */
export async function answered<T>(client: Client, withinMs: number, ask: () => Promise<T>): Promise<T> {
  let isAnswered = false;
  const timer = setTimeout(() => {
    setImmediate(() =>
      setImmediate(() => isAnswered || client.connection.stream.destroy(new SilentDatabase(withinMs))),
    );
  }, withinMs);
  try {
    return await ask();
  } finally {
    isAnswered = true;
    clearTimeout(timer);
  }
}

export class SilentDatabase extends Error {
  constructor(withinMs: number) {
    super(`The database gave no answer within ${withinMs} ms.`);
  }
}

/** The first attempt may tell whether the server wants TLS, and another one that another server is the primary now. */
const MOST_TRIES = 3;

/**
 * Opens a connection outside the pools.
 * @param onBreak called when it ends unexpectedly, by an error or because the server closed it
 */
export async function openSession(
  route: Route,
  options: SessionOptions,
  onBreak: () => void = () => undefined,
): Promise<Client> {
  return triedAgain(route, async () => {
    const client = new SessionClient(sessionConfig(route, options));
    // An error is followed by the `end` event.
    client.on('error', () => undefined);
    try {
      await client.connect();
      await pin(client, route, options);
      client.once('end', onBreak);
      return client;
    } catch (error) {
      await closeSession(client);
      throw error;
    }
  });
}

/** Connects, and tries again where something was learnt from what failed. */
export async function triedAgain<T>(route: Route, connect: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt += 1) {
    const { server } = route;
    try {
      return await connect();
    } catch (error) {
      if (attempt === MOST_TRIES) throw error;
      if (route.learnTls(error)) continue;
      // Somebody else may have found the primary meanwhile.
      if (route.server === server) await findPrimary(route);
      if (route.server === server) throw error;
    }
  }
}

/** How long a server has to take a connection, and then to say whether it takes writes. */
const PROBE_MS = 2000;

/** Asks all servers of the address, if there are several, which one is the primary now. */
export async function findPrimary(route: Route): Promise<void> {
  if (!route.hasChoice) return;
  await route.choose(async () => {
    const asked = await Promise.allSettled(route.address.servers.map((server) => requirePrimary(route, server)));
    return asked.flatMap((answer) => (answer.status === 'fulfilled' ? [answer.value] : []));
  });
}

async function requirePrimary(route: Route, server: DatabaseServer): Promise<Primary> {
  const options = { applicationName: 'baton', statementTimeoutMs: PROBE_MS, connectTimeoutMs: PROBE_MS };
  for (let attempt = 1; ; attempt += 1) {
    const client = new SessionClient(sessionConfig(route, options), server);
    client.on('error', () => undefined);
    try {
      await client.connect();
      return { server, timeline: await answered(client, PROBE_MS, () => requireTimeline(client)) };
    } catch (error) {
      if (attempt > 1 || !route.learnTls(error)) throw error;
    } finally {
      // Nobody waits for the farewell.
      void closeSession(client);
    }
  }
}

const FAREWELL_MS = 1000;

/**
 * Closes the connection and waits until the server has closed it too; a server that does not answer is abandoned after
 * a moment.
 */
export async function closeSession(client: Client): Promise<void> {
  const timer = setTimeout(() => client.connection.stream.destroy(), FAREWELL_MS);
  await client.end().catch(() => undefined);
  clearTimeout(timer);
}

function pairs(settings: Readonly<Record<string, string>>): string {
  return Object.entries(settings)
    .map(([name, value]) => `(${escapeLiteral(name)}, ${escapeLiteral(value)})`)
    .join(', ');
}
