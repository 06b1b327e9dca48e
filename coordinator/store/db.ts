import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { PrismaPg } from '@prisma/adapter-pg';
import { Pool, type PoolClient } from 'pg';
import { Prisma, PrismaClient } from '../generated/prisma/client';
import { BatonError } from '../errors';
import { Gate } from './gate';
import { VALUES } from './values';

export const sql = Prisma.sql;
export type Sql = Prisma.Sql;

/** Where a statement runs: on a pool, or inside one transaction. */
export interface Executor {
  /** Runs one statement and returns its rows. */
  query<Row>(statement: Sql): Promise<Row[]>;
}

/** A pool. Everything run through it is tried again when PostgreSQL breaks a deadlock or a serialisation conflict. */
export interface Connections extends Executor {
  transaction<T>(run: (transaction: Executor) => Promise<T>): Promise<T>;
}

export interface Db extends Connections {
  /** Reads and administration through the models. */
  prisma: PrismaClient;
  /** Kept apart for heartbeats and reports, so that slow reads never cost a runner its lease. */
  vital: Connections;
  /**
   * For creates and claims, whose statements are planned once for each connection and not for each call, as are those of
   * `vital`: their indexes are the same for all values, and planning a claim takes twice as long as running it.
   */
  hot: Connections;
  /** The same for transactions that wait for locks of keys. They never hold all of its connections, lest claims wait with them. */
  keyed: Connections;
  /** What else may be slow on `hot` goes through the same gate, so that claims never wait for it. */
  gate: Gate;
  /** How the pools are used at this moment. */
  usage(): { pool: string; busy: number; idle: number; waiting: number }[];
  close(): Promise<void>;
}

const CONNECT_TIMEOUT_MS = 5000;
const STATEMENT_TIMEOUT_MS = 30_000;
const IDLE_IN_TRANSACTION_TIMEOUT_MS = 15_000;
const FAREWELL_MS = 2000;
const TRIES = 5;
/** One is left to claims while transactions wait for locks of keys. */
const LEAST_HOT = 2;
/** A bulk operation is held by one while its batch moves jobs on another. */
const LEAST_GENERAL = 2;

export function openDb(url: string, options: { poolSize: number; onError: (error: Error) => void }): Db {
  const vitalSize = Math.max(1, Math.min(4, Math.floor(options.poolSize / 3)));
  const hotSize = Math.max(LEAST_HOT, Math.min(6, Math.floor(options.poolSize / 3)));
  const vitalPool = openPool(url, vitalSize, options.onError, PLANNED_ONCE);
  const hotPool = openPool(url, hotSize, options.onError, PLANNED_ONCE);
  const generalPool = openPool(
    url,
    Math.max(LEAST_GENERAL, options.poolSize - vitalSize - hotSize),
    options.onError,
    PLANNED_EACH,
  );
  const gate = new Gate(hotSize - 1, CONNECT_TIMEOUT_MS);
  const prisma = new PrismaClient({ adapter: new PrismaPg(generalPool) });
  return {
    ...connections(generalPool),
    vital: connections(vitalPool),
    hot: connections(hotPool),
    keyed: gated(connections(hotPool), gate),
    gate,
    prisma,
    usage: () =>
      Object.entries({ vital: vitalPool, hot: hotPool, general: generalPool }).map(
        ([pool, { totalCount, idleCount, waitingCount }]) => ({
          pool,
          busy: totalCount - idleCount,
          idle: idleCount,
          waiting: waitingCount,
        }),
      ),
    async close() {
      await prisma.$disconnect();
      await Promise.all([generalPool, hotPool, vitalPool].map(end));
    },
  };
}

/**
 * Every statement here has its index. What the planner believes of a table that grew or emptied within seconds is not
 * worth the day it reads a million rows instead, so it is told that walks are dear and that pages found one by one are
 * nearly free. Else it joins a few rows to a whole table in order, as soon as it takes the few for a hundredth of it.
 * No plan here is worth being compiled.
 */
export const PLANNING = '-c enable_seqscan=off -c random_page_cost=0.01 -c jit=off';

/**
 * One plan for a statement, whatever its values: without it PostgreSQL plans long statements anew at each call. Such a plan
 * may have been made while the tables were empty, and is kept until they are counted.
 */
const PLANNED_ONCE = ' -c plan_cache_mode=force_generic_plan';
/** Planned for the values and tables of each call: left to itself PostgreSQL keeps a plan after the fifth. */
const PLANNED_EACH = ' -c plan_cache_mode=force_custom_plan';

function openPool(url: string, max: number, onError: (error: Error) => void, settings: string): Pool {
  const pool = new Pool({
    connectionString: url,
    max,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    statement_timeout: STATEMENT_TIMEOUT_MS,
    // For a server that went silent without closing the connection, whose own timeout cannot be heard.
    query_timeout: STATEMENT_TIMEOUT_MS + CONNECT_TIMEOUT_MS,
    idle_in_transaction_session_timeout: IDLE_IN_TRANSACTION_TIMEOUT_MS,
    application_name: 'baton',
    types: VALUES,
    options: `${PLANNING} -c timezone=UTC${settings}`,
    keepAlive: true,
  });
  // An idle connection that breaks must not end the process.
  pool.on('error', onError);
  return pool;
}

/**
 * `Pool.end` resolves when it has said goodbye, `remove` comes when the server has gone too: one that is stopped between
 * the two breaks its connections instead of ending them. A server that went silent is not waited for.
 */
async function end(pool: Pool): Promise<void> {
  let open = pool.totalCount;
  const ended = new Promise<void>((resolve) => {
    if (open === 0) resolve();
    pool.on('remove', () => (open -= 1) === 0 && resolve());
  });
  await pool.end();
  await Promise.race([ended, sleep(FAREWELL_MS, undefined, { ref: false })]);
}

function connections(pool: Pool): Connections {
  return {
    query: (statement) => retried(() => run(pool, statement)),
    transaction: (body) => retried(() => transact(pool, body)),
  };
}

function gated({ query, transaction }: Connections, gate: Gate): Connections {
  return { query, transaction: (body) => gate.run(() => transaction(body)) };
}

async function transact<T>(pool: Pool, body: (transaction: Executor) => Promise<T>): Promise<T> {
  const client = await connect(pool);
  let broken = false;
  // Without a listener, a connection that breaks between two statements would end the process.
  const onError = () => (broken = true);
  client.on('error', onError);
  try {
    await client.query('BEGIN');
    const result = await body({ query: (statement) => run(client, statement) });
    await client.query('COMMIT');
    return result;
  } catch (error) {
    // A connection that cannot roll back is thrown away, else its open transaction would be the next caller's.
    await client.query('ROLLBACK').catch(() => (broken = true));
    throw error;
  } finally {
    client.off('error', onError);
    client.release(broken);
  }
}

async function connect(pool: Pool): Promise<PoolClient> {
  try {
    return await pool.connect();
  } catch (error) {
    throw translated(error);
  }
}

/** Prepared statements are named by their text, so that PostgreSQL plans each one once for every connection. */
const names = new Map<string, string>();

async function run<Row>(target: Pool | PoolClient, statement: Sql): Promise<Row[]> {
  const text = statement.text;
  let name = names.get(text);
  if (name === undefined) {
    name = createHash('sha1').update(text).digest('base64url');
    names.set(text, name);
  }
  const { rows } = await target.query({ name, text, values: statement.values });
  return rows as Row[];
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

const RETRYABLE_STATES = new Set(['40P01', '40001']);

/** SQLSTATEs, and classes of them, after which the same statement may succeed on a healthy server. */
const UNAVAILABLE_STATES = /^(08...|25006|25P03|40P01|40001|53...|55P03|57014|57P0.|58...)$/;
const UNAVAILABLE_MESSAGES =
  /timeout exceeded when trying to connect|Query read timeout|Connection terminated|Client has encountered a connection error|Cannot use a pool after calling end/;
const SOCKET_CODES = /^(ECONN|EPIPE|ENOTFOUND|EAI_AGAIN|ETIMEDOUT|EHOST|ENET)/;

export function isUnavailable(error: unknown): boolean {
  if (error instanceof BatonError) return error.code === 'unavailable';
  const state = stateOf(error);
  if (UNAVAILABLE_STATES.test(state) || SOCKET_CODES.test(state)) return true;
  if (error instanceof AggregateError) return error.errors.some(isUnavailable);
  return error instanceof Error && UNAVAILABLE_MESSAGES.test(error.message);
}

/** Errors of a database that is away become `unavailable`; all others stay as they are. */
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
