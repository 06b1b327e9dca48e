import { createHash } from 'node:crypto';
import { PrismaPg } from '@prisma/adapter-pg';
import { Prisma, PrismaClient } from '../generated/prisma/client';
import { BatonError } from '../errors';
import { describeAddress, readAddress } from './connections/address';
import { Liveness, type PooledSession, type PoolOptions, SessionPool } from './connections/pool';
import { clientGone, ConnectionShares } from './connections/connection-shares';
import { Route } from './connections/route';
import { SilentDatabase } from './connections/session';
import { Gate } from './gate';

export { PLANNING } from './connections/session';
export const sql = Prisma.sql;
export type Sql = Prisma.Sql;

/** Where a statement runs: on a pool, or inside one transaction. */
export interface Executor {
  /** Runs one statement and returns its rows. */
  query<Row>(statement: Sql): Promise<Row[]>;
}

/** A pool. Statements and transactions are retried when PostgreSQL breaks a deadlock or a serialisation conflict. */
export interface Connections extends Executor {
  transaction<T>(run: (transaction: Executor) => Promise<T>): Promise<T>;
}

/** The pools. Background work and administration run on `Db` itself; readers never block them. */
export interface Db extends Connections {
  /** Administration through the models. */
  prisma: PrismaClient;
  /** Separate connections for heartbeats and reports, so that nothing slow costs a runner its lease. */
  vital: Connections;
  /**
   * For creates and claims. Their statements, like those of `vital`, are planned once per connection instead of per
   * call: they use the same indexes for all values, and planning a claim takes twice as long as running it.
   */
  hot: Connections;
  /**
   * The same for transactions that wait for locks of keys. They never use all of its connections, so that claims do not
   * wait behind them.
   */
  keyed: Connections;
  /** Other slow work on `hot` passes the same gate, so that claims never wait for it. */
  gate: Gate;
  /**
   * For what callers read: lists, statistics, pages. Each caller, identified by its key, has a share of these
   * connections. A read that takes longer than some seconds is cancelled, and so is one whose signal, which is obtained
   * when the read starts, is aborted.
   */
  reads(owner: string, signal?: () => AbortSignal): Executor;
  /**
   * For what callers change, administration and verbs for many jobs: the general connections but one, of which a caller
   * has a share, so that the coordinator's own work goes on whatever they ask. A transaction must not wait for another
   * one of them.
   */
  writes(owner: string): Connections;
  /** The channel of this schema's notifications. */
  channel: string;
  /** How many connections of each pool are in use now. */
  usage(): { pool: string; busy: number; idle: number; waiting: number }[];
  close(): Promise<void>;
}

/**
 * How long a statement may take, and how long its answer may take before the connection is given up and another one is
 * tried. Heartbeats must be retried well before a lease of usual length expires.
 */
export const TIMEOUTS = {
  // A report may have to wait for the locks of others' batches, and for PostgreSQL to break their deadlocks.
  vital: { statementTimeoutMs: 6000, answerTimeoutMs: 7000 },
  hot: { statementTimeoutMs: 8000, answerTimeoutMs: 10_000 },
  readers: { statementTimeoutMs: 5000, answerTimeoutMs: 7000 },
  general: { statementTimeoutMs: 15_000, answerTimeoutMs: 18_000 },
} as const;
const GATE_PATIENCE_MS = 5000;
/** How long a read, or a change, waits for its turn. */
const TURN_PATIENCE_MS = 5000;
const TRIES = 5;

/** One connection stays free for claims while transactions wait for locks of keys. */
const LEAST_HOT = 2;
/** A bulk operation is locked on one connection while its batch moves jobs on another. */
const LEAST_GENERAL = 2;
const LEAST_READERS = 1;

/** Number of connections of each pool, for a given total. */
export function poolSizes(total: number): Record<keyof typeof TIMEOUTS, number> {
  const vital = between(1, Math.floor(total / 4), 4);
  const hot = between(LEAST_HOT, Math.floor(total / 3), 6);
  const readers = between(LEAST_READERS, Math.floor(total / 5), 16);
  return { vital, hot, readers, general: Math.max(LEAST_GENERAL, total - vital - hot - readers) };
}

/** Of so many connections, how many one caller may use at once: it never has the last, if there are several. */
export function callersShare(connections: number): number {
  return between(1, Math.ceil(connections / 2), Math.max(1, connections - 1));
}

/** Of the general connections, how many callers may use at once: one is always left to the coordinator's own work. */
export function callersConnections(general: number): number {
  return Math.max(1, general - 1);
}

function between(least: number, wanted: number, most: number): number {
  return Math.max(least, Math.min(most, wanted));
}

/**
 * One plan per statement, whatever its values: otherwise PostgreSQL plans long statements at each call. Such a plan may
 * have been made while the tables were empty, and is kept until they are analysed.
 */
const PLANNED_ONCE = { plan_cache_mode: 'force_generic_plan' };
/**
 * Planned at each call, for its values and the current tables: by default PostgreSQL may keep a plan after the fifth
 * call.
 */
const PLANNED_EACH = { plan_cache_mode: 'force_custom_plan' };

export interface DbOptions {
  poolSize: number;
  /** A connection broke. */
  onError: (error: Error) => void;
  /** Another server of the address takes writes now; connections are made to this `host:port`. */
  onMove?: (server: string) => void;
}

/**
 * Connects when it is first used.
 * @throws {DatabaseFault} for an address that cannot be used
 */
export function openDb(url: string, options: DbOptions): Db {
  const address = readAddress(url);
  const route = new Route(address, (server) => options.onMove?.(describeAddress({ servers: [server] })));
  const liveness = new Liveness(route);
  const sizes = poolSizes(options.poolSize);
  const open = (name: keyof typeof TIMEOUTS, isPlannedOnce: boolean): SessionPool => {
    const settings: PoolOptions = {
      applicationName: 'baton',
      max: sizes[name],
      settings: isPlannedOnce ? PLANNED_ONCE : PLANNED_EACH,
      isPrepared: isPlannedOnce,
      onError: options.onError,
      ...TIMEOUTS[name],
    };
    return new SessionPool(liveness, settings);
  };
  const pools = {
    vital: open('vital', true),
    hot: open('hot', true),
    readers: open('readers', false),
    general: open('general', false),
  };
  const gate = new Gate(sizes.hot - 1, GATE_PATIENCE_MS);
  const shares = (kind: string, connections: number) =>
    new ConnectionShares(kind, connections, callersShare(connections), TURN_PATIENCE_MS);
  const reads = shares('reads', sizes.readers);
  const changes = shares('changes', callersConnections(sizes.general));
  const general = connections(pools.general);
  const prisma = new PrismaClient({ adapter: new PrismaPg(pools.general.pool, { schema: address.schema }) });
  return {
    ...general,
    vital: connections(pools.vital),
    hot: connections(pools.hot),
    keyed: gated(connections(pools.hot), gate),
    gate,
    prisma,
    channel: channelOf(address),
    reads: (owner, signal) => ({
      query: (statement) => {
        const stopped = signal?.();
        return reads.run(owner, stopped, () => read(pools.readers, general, statement, stopped));
      },
    }),
    writes: (owner) => ({
      query: (statement) => changes.run(owner, undefined, () => general.query(statement)),
      transaction: (body) => changes.run(owner, undefined, () => general.transaction(body)),
    }),
    usage: () =>
      Object.entries(pools).map(([name, { pool }]) => ({
        pool: name,
        busy: pool.totalCount - pool.idleCount,
        idle: pool.idleCount,
        waiting: pool.waitingCount,
      })),
    async close() {
      await prisma.$disconnect();
      await Promise.all(Object.values(pools).map((pool) => pool.end()));
    },
  };
}

function connections(pool: SessionPool): Connections {
  return {
    query: (statement) => retried(() => pool.with((session) => session.query(statement))),
    transaction: (body) => retried(() => pool.with((session) => transact(session, body))),
  };
}

function gated({ query, transaction }: Connections, gate: Gate): Connections {
  return { query, transaction: (body) => gate.run(() => transaction(body)) };
}

async function transact<T>(session: PooledSession, body: (transaction: Executor) => Promise<T>): Promise<T> {
  try {
    await session.run('BEGIN');
    const result = await body({ query: (statement) => session.query(statement) });
    await session.run('COMMIT');
    return result;
  } catch (error) {
    await session.rollBack();
    throw error;
  }
}

/**
 * Cancels the statement when the signal is aborted; otherwise PostgreSQL would go on for a client that has
 * disconnected.
 */
async function read<Row>(
  readers: SessionPool,
  general: Executor,
  statement: Sql,
  signal: AbortSignal | undefined,
): Promise<Row[]> {
  return retried(() =>
    readers.with(async (session) => {
      const stop = (): void => {
        // A late cancel must not hit the next caller's statement.
        session.discard();
        void general.query(sql`SELECT pg_cancel_backend(${session.pid ?? 0}::int)`).catch(() => undefined);
      };
      requireClient(signal);
      signal?.addEventListener('abort', stop, { once: true });
      try {
        return await session.query<Row>(statement);
      } catch (error) {
        if (stateOf(error) !== CANCELLED) throw error;
        throw isAborted(signal) ? clientGone() : tooSlow(error);
      } finally {
        signal?.removeEventListener('abort', stop);
      }
    }),
  );
}

/** @throws {BatonError} when the client has disconnected, so that work for it can end */
export function requireClient(signal: AbortSignal | undefined): void {
  if (isAborted(signal)) throw clientGone();
}

/** A function, because the state may change during an await. */
function isAborted(signal: AbortSignal | undefined): boolean {
  return signal?.aborted === true;
}

const CANCELLED = '57014';

function tooSlow(cause: unknown): BatonError {
  return new BatonError(
    'unavailable',
    `The read took longer than ${TIMEOUTS.readers.statementTimeoutMs / 1000} s and was stopped. Narrow it, or try again later.`,
    { retryAfterMs: 5000, cause },
  );
}

/** Whether a statement was cancelled because it took too long. */
export function isStopped({ cause }: BatonError): boolean {
  return stateOf(cause) === CANCELLED;
}

/** PostgreSQL truncates longer channel names in LISTEN, and refuses them in NOTIFY. */
const MOST_CHANNEL_BYTES = 63;

/** The channel name of a schema, so that two Batons in one database do not receive each other's notifications. */
export function channelOf({ schema }: { schema: string }): string {
  const channel = `baton:${schema}`;
  return Buffer.byteLength(channel) <= MOST_CHANNEL_BYTES
    ? channel
    : `baton:${createHash('sha256').update(schema).digest('hex').slice(0, 40)}`;
}

async function retried<T>(work: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await work();
    } catch (error) {
      if (attempt < TRIES && RETRYABLE_STATES.has(stateOf(error))) continue;
      throw translated(error);
    }
  }
}

/**
 * Runs work again, on another connection, when the first gave no answer. Only for idempotent work: it is unknown
 * whether the first run took effect.
 */
export async function repeated<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof BatonError && error.cause instanceof SilentDatabase) return work();
    throw error;
  }
}
const RETRYABLE_STATES = new Set(['40P01', '40001']);

/** SQLSTATEs and classes of them after which the same statement may succeed on a healthy server. */
const UNAVAILABLE_STATES = /^(08...|25006|25P03|40P01|40001|53...|55P03|57014|57P0.|58...)$/;
const UNAVAILABLE_MESSAGES =
  /timeout exceeded when trying to connect|Query read timeout|Connection terminated|Client has encountered a connection error|Cannot use a pool after calling end/;
/** Of sockets, and of Prisma: a server that cannot be reached, takes too long, or has closed the connection. */
const SOCKET_CODES = /^(ECONN|EPIPE|ENOTFOUND|EAI_AGAIN|ETIMEDOUT|EHOST|ENET|P1001|P1002|P1008|P1017)/;

export function isUnavailable(error: unknown): boolean {
  if (error instanceof BatonError) return error.code === 'unavailable';
  if (error instanceof SilentDatabase) return true;
  const state = stateOf(error);
  if (UNAVAILABLE_STATES.test(state) || SOCKET_CODES.test(state)) return true;
  if (error instanceof AggregateError) return error.errors.some(isUnavailable);
  return error instanceof Error && UNAVAILABLE_MESSAGES.test(error.message);
}

/** Turns errors of an unavailable database into `unavailable`; leaves all others as they are. */
export function translated(error: unknown): unknown {
  if (error instanceof BatonError || !isUnavailable(error)) return error;
  return new BatonError('unavailable', 'The database cannot be reached at the moment.', {
    retryAfterMs: 1000,
    cause: error,
  });
}

/** Whether the statement failed because a unique index (of this name) already holds the value. */
export function isUniqueViolation(error: unknown, constraint: string): boolean {
  return (
    stateOf(error) === '23505' &&
    typeof error === 'object' &&
    error !== null &&
    'constraint' in error &&
    error.constraint === constraint
  );
}

function stateOf(error: unknown): string {
  return typeof error === 'object' && error !== null && 'code' in error && typeof error.code === 'string'
    ? error.code
    : '';
}
