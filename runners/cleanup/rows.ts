import { Client } from 'pg';
import { type JobContext, NonRetryableError } from '@baton/runner-sdk';
import type { RowsTask } from './jobs';
import type { Statement } from './settings';
import { Tally } from './tally';

const CONNECT_MS = 10_000;
const BATCH_MS = 300_000;

/**
 * Repeats a statement until it deletes nothing. Each batch is committed separately, so that a killed attempt loses at
 * most one.
 * @throws {NonRetryableError} `cleanup_unknown`, `cleanup_bad_parameters`, `cleanup_bad_statement`
 */
export async function cleanRows(
  task: RowsTask,
  statements: ReadonlyMap<string, Statement>,
  job: JobContext,
  isDryRun: boolean,
): Promise<Tally> {
  const statement = statements.get(task.statement);
  if (statement === undefined)
    throw new NonRetryableError(
      `this runner has no statement ${task.statement}; it has ${[...statements.keys()].join(', ') || 'none'}`,
      {
        code: 'cleanup_unknown',
      },
    );
  const values = valuesOf(task, statement);
  const client = new Client({
    ...{ connectionString: statement.databaseUrl, connectionTimeoutMillis: CONNECT_MS, statement_timeout: BATCH_MS },
    application_name: 'baton cleanup',
  });
  // The query that fails reports it.
  client.on('error', () => undefined);
  await client.connect();
  try {
    const tally = new Tally('rows');
    if (isDryRun) tally.addMany(await countOf(client, statement, values));
    else await deleteAll(client, statement, values, tally, job);
    return tally;
  } catch (error) {
    throw told(task, error);
  } finally {
    await client.end();
  }
}

async function deleteAll(
  client: Client,
  statement: Statement,
  values: unknown[],
  tally: Tally,
  job: JobContext,
): Promise<void> {
  for (;;) {
    job.signal.throwIfAborted();
    const { rowCount } = await client.query(statement.delete, values);
    if ((rowCount ?? 0) === 0) return;
    tally.addMany(rowCount ?? 0);
    job.progress(0, `${tally.total} rows`);
  }
}

async function countOf(client: Client, statement: Statement, values: unknown[]): Promise<number> {
  const { rows } = await client.query<Record<string, unknown>>(statement.count, values);
  return Number(Object.values(rows[0] ?? {})[0] ?? 0);
}

function valuesOf({ statement: name, parameters }: RowsTask, statement: Statement): unknown[] {
  const given = new Map(Object.entries(parameters));
  const missing = statement.parameters.filter((one) => !given.has(one));
  const unknown = [...given.keys()].filter((one) => !statement.parameters.includes(one));
  if (missing.length + unknown.length === 0) return statement.parameters.map((one) => given.get(one));
  const wanted =
    statement.parameters.length === 0 ? 'no parameters' : `the parameters ${statement.parameters.join(', ')}`;
  throw new NonRetryableError(
    `the statement ${name} takes ${wanted}; given were ${[...given.keys()].join(', ') || 'none'}`,
    {
      code: 'cleanup_bad_parameters',
    },
  );
}

/** SQLSTATE classes 22 and 42: an invalid value or statement, which a retry does not change. */
function told(task: RowsTask, error: unknown): unknown {
  const { code = '', message = '' } = error as { code?: string; message?: string };
  if (!/^(22|42)...$/.test(code)) return error;
  return new NonRetryableError(`the statement ${task.statement} cannot be carried out: ${message}`, {
    code: 'cleanup_bad_statement',
  });
}
