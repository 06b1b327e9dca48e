import { assertArguments, type JobDefinition } from './client/define-job';
import type { CreateOptions } from './client/client';
import type { InputOf, Schema } from './client/schema';
import { ERROR_STATUS, type FieldError, type JobStatus } from './protocol';
import { readProperty } from './transport/error-like';
import { BatonError, ConfigurationError } from './transport/errors';
import { storable } from './transport/json';

// Creates jobs in the application's own transaction, with the SQL function `enqueue` in Baton's database. Works with
// any library that runs SQL there, and depends on none.

/**
 * A client, a pool or a pool's client of `pg`, or any object with the same `query`, even if it returns the rows
 * themselves.
 */
export interface SqlRunner {
  query(text: string, values: unknown[]): Promise<{ rows: unknown[] } | unknown[]>;
}

/** A Prisma client, or what `$transaction` passes to its function. */
export interface PrismaRunner {
  $queryRawUnsafe(text: string, ...values: unknown[]): Promise<unknown>;
}

/** Other fields of a create; they override the definition's defaults. `undefined` counts as left out. */
export interface EnqueueOptions extends Omit<
  CreateOptions,
  'callbackUrl' | 'dependsOn' | 'onDependencyFailure' | 'signal'
> {
  traceparent?: string | undefined;
  tracestate?: string | undefined;
  /** The schema of Baton's tables. Default: `baton`. */
  schema?: string | undefined;
}

export interface Enqueued {
  id: string;
  status: JobStatus;
  /**
   * `repeated`: the idempotency key was used for the same job; `deduplicated`: this existing job holds the unique key.
   */
  outcome: 'created' | 'repeated' | 'deduplicated';
}

type EnqueueRest<Arguments extends Schema> =
  undefined extends InputOf<Arguments>
    ? [args?: InputOf<Arguments>, options?: EnqueueOptions]
    : [args: InputOf<Arguments>, options?: EnqueueOptions];

/**
 * Creates a job in the transaction of `on`. Runners see the job when that commits; if it is rolled back, the job never
 * existed. A refusal is a `BatonError` with the code that `POST /jobs` answers with, and leaves the transaction failed,
 * like every PostgreSQL error. Arguments that do not match the definition are refused before anything is sent.
 */
export function enqueue<Arguments extends Schema, Result extends Schema>(
  on: SqlRunner | PrismaRunner,
  definition: JobDefinition<Arguments, Result>,
  ...rest: EnqueueRest<Arguments>
): Promise<Enqueued>;
export function enqueue(
  on: SqlRunner | PrismaRunner,
  type: string,
  args?: unknown,
  options?: EnqueueOptions,
): Promise<Enqueued>;
export async function enqueue(
  on: SqlRunner | PrismaRunner,
  target: string | JobDefinition,
  args?: unknown,
  { schema = 'baton', ...options }: EnqueueOptions = {},
): Promise<Enqueued> {
  const definition: JobDefinition = typeof target === 'string' ? { type: target, defaults: {} } : target;
  await assertArguments(definition, args);
  const settings = { ...definition.defaults, ...given(options) };
  const values = [definition.type, jsonOf(args, definition.type), JSON.stringify(settings)];
  const text = `SELECT id::text AS id, status, outcome FROM "${schema.replaceAll('"', '""')}".enqueue($1::text, $2::json, $3::json)`;
  const rows = await run(on, text, values);
  const [row] = rows as [Enqueued];
  return { id: row.id, status: row.status, outcome: row.outcome };
}

async function run(on: SqlRunner | PrismaRunner, text: string, values: unknown[]): Promise<unknown[]> {
  try {
    if ('$queryRawUnsafe' in on) return (await on.$queryRawUnsafe(text, ...values)) as unknown[];
    if (!('query' in on))
      throw new ConfigurationError('enqueue takes an object with a method query or $queryRawUnsafe');
    const result = await on.query(text, values);
    return Array.isArray(result) ? result : result.rows;
  } catch (error) {
    throw refusalOf(error) ?? error;
  }
}

/** The refusal of the function, however the library wrapped it: its detail as JSON, or at least its message. */
function refusalOf(error: unknown): BatonError | null {
  for (const text of textsOf(error)) {
    const refusal = readDetail(text) ?? readMessage(text);
    if (refusal !== null) return new BatonError({ ...refusal, status: ERROR_STATUS[refusal.code], cause: error });
  }
  return null;
}

/** SQLSTATE of every refusal. */
const REFUSED = 'BATON';
const MOST_WRAPPED = 5;

/** Details before messages; those of the error itself before those of errors that it wraps or has in `meta`. */
function textsOf(error: unknown): string[] {
  const found: string[] = [];
  let isRefusal = false;
  const visit = (value: unknown, depth: number): void => {
    if (typeof value !== 'object' || value === null || depth > MOST_WRAPPED) return;
    if (['code', 'originalCode'].some((name) => readProperty(value, name) === REFUSED)) isRefusal = true;
    for (const name of ['detail', 'message', 'originalMessage']) {
      const text = readProperty(value, name);
      if (typeof text === 'string') found.push(text);
    }
    for (const name of ['cause', 'meta', 'driverAdapterError', 'original', 'parent'])
      visit(readProperty(value, name), depth + 1);
  };
  visit(error, 0);
  return isRefusal ? found : [];
}

type Refusal = { code: keyof typeof ERROR_STATUS; detail: string; errors?: FieldError[]; retryAfterMs?: number };

function readDetail(text: string): Refusal | null {
  if (!text.startsWith('{')) return null;
  try {
    const read = JSON.parse(text) as Partial<Refusal>;
    return isCode(read.code) && typeof read.detail === 'string' ? (read as Refusal) : null;
  } catch {
    return null;
  }
}

function readMessage(text: string): Refusal | null {
  const [, code, detail = ''] = /([a-z_]+): ([^]+)$/.exec(text) ?? [];
  return isCode(code) ? { code, detail } : null;
}

function isCode(code: unknown): code is keyof typeof ERROR_STATUS {
  return typeof code === 'string' && Object.hasOwn(ERROR_STATUS, code);
}

function given<Options extends object>(options: Options): Options {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as Options;
}

function jsonOf(args: unknown, type: string): string {
  const stored = storable(args);
  if (stored.isStorable) return stored.text ?? '{}';
  throw new BatonError({
    code: 'invalid_arguments',
    status: 0,
    detail: `the arguments for ${type} are not JSON that can be stored: ${stored.detail}`,
  });
}
