import { NonRetryableError } from '@baton/runner-sdk';
import type { Client } from 'pg';
import { z } from 'zod';

const CREATE = `
CREATE TABLE IF NOT EXISTS baton_data_positions (
  job_id text PRIMARY KEY,
  attempt integer NOT NULL,
  source text NOT NULL,
  rows bigint NOT NULL DEFAULT 0,
  mark jsonb,
  counts jsonb NOT NULL DEFAULT '{}',
  finished boolean NOT NULL DEFAULT false,
  updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE IF NOT EXISTS baton_data_rejects (
  job_id text NOT NULL REFERENCES baton_data_positions ON DELETE CASCADE,
  row bigint NOT NULL,
  reject text NOT NULL,
  PRIMARY KEY (job_id, row)
)`;
const KEPT = '30 days';
const TOGETHER = 1000;

const counts = z.object({
  written: z.int().default(0),
  skipped: z.int().default(0),
  rejected: z.int().default(0),
});
export type Counts = z.output<typeof counts>;

export interface Progress {
  /** Number of rows of the source that are done. */
  rows: number;
  mark: unknown;
  counts: Counts;
}

export interface Reject {
  row: number;
  reason: string;
  values: unknown;
}

/**
 * The progress of a job, stored in the database that it writes: it advances in the transaction of the rows, so that
 * both commit or neither does, and only for the newest attempt.
 */
export class Position {
  private constructor(
    private readonly client: Client,
    private readonly job: { id: string; attempt: number },
    /** What earlier attempts have done. */
    readonly start: Progress,
    readonly isFinished: boolean,
  ) {}

  /**
   * Takes over the position from earlier attempts.
   * @param source changes when the counted rows are no longer those that will be read
   * @throws {NonRetryableError} `data_source_changed`
   */
  static async take(client: Client, job: { id: string; attempt: number }, source: string): Promise<Position> {
    await createTables(client);
    await client.query(`DELETE FROM baton_data_positions WHERE updated_at < now() - interval '${KEPT}'`);
    const { rows } = await client.query<PositionRow>(
      `INSERT INTO baton_data_positions AS p (job_id, attempt, source) VALUES ($1, $2, $3)
       ON CONFLICT (job_id) DO UPDATE
         SET attempt = excluded.attempt, source = CASE WHEN p.rows = 0 THEN excluded.source ELSE p.source END
         WHERE p.attempt <= excluded.attempt
       RETURNING source, rows::float8, mark, counts, finished`,
      [job.id, job.attempt, source],
    );
    const [row] = rows;
    if (row === undefined) throw overtaken();
    if (row.source !== source && !row.finished)
      throw new NonRetryableError('the source has changed since an earlier attempt; create a new job for it', {
        code: 'data_source_changed',
      });
    const start = { rows: row.rows, mark: row.mark, counts: counts.parse(row.counts) };
    return new Position(client, job, start, row.finished);
  }

  /** Runs `work` and advances the position, in one transaction. */
  async advance(work: () => Promise<{ progress: Progress; rejects: Reject[] }>): Promise<void> {
    const { id, attempt } = this.job;
    await this.client.query('BEGIN');
    try {
      const own = await this.client.query(
        'SELECT FROM baton_data_positions WHERE job_id = $1 AND attempt = $2 AND NOT finished FOR UPDATE',
        [id, attempt],
      );
      if (own.rowCount === 0) throw overtaken();
      // A constraint checked only at commit could not be attributed to a row.
      await this.client.query('SET CONSTRAINTS ALL IMMEDIATE');
      const { progress, rejects } = await work();
      if (rejects.length > 0)
        await this.client.query(
          `INSERT INTO baton_data_rejects (job_id, row, reject)
           SELECT $1, row, reject FROM unnest($2::bigint[], $3::text[]) AS given (row, reject)`,
          [id, rejects.map(({ row }) => row), rejects.map(textOf)],
        );
      await this.client.query(
        'UPDATE baton_data_positions SET rows = $2, mark = $3, counts = $4, updated_at = now() WHERE job_id = $1',
        [id, progress.rows, JSON.stringify(progress.mark ?? null), JSON.stringify(progress.counts)],
      );
      await this.client.query('COMMIT');
    } catch (error) {
      await this.client.query('ROLLBACK').catch(() => undefined);
      throw error;
    }
  }

  /** Lines of NDJSON, in the order of the rows. */
  async *rejects(): AsyncIterable<string> {
    for (let after = -1; ;) {
      const { rows } = await this.client.query<{ row: string; reject: string }>(
        'SELECT row, reject FROM baton_data_rejects WHERE job_id = $1 AND row > $2 ORDER BY row LIMIT $3',
        [this.job.id, after, TOGETHER],
      );
      for (const { reject } of rows) yield `${reject}\n`;
      if (rows.length < TOGETHER) return;
      after = Number(rows.at(-1)?.row);
    }
  }

  /**
   * Call it when everything is done, including the file of rejected rows: another attempt then only returns the result.
   */
  async finish(): Promise<void> {
    const { id, attempt } = this.job;
    const { rowCount } = await this.client.query(
      `WITH done AS (
         UPDATE baton_data_positions SET finished = true, updated_at = now()
         WHERE job_id = $1 AND attempt = $2 RETURNING job_id)
       , gone AS (DELETE FROM baton_data_rejects USING done WHERE baton_data_rejects.job_id = done.job_id)
       SELECT FROM done`,
      [id, attempt],
    );
    if (rowCount === 0) throw overtaken();
  }
}

interface PositionRow {
  source: string;
  rows: number;
  mark: unknown;
  counts: unknown;
  finished: boolean;
}

export function textOf({ row, reason, values }: Reject): string {
  return (
    JSON.stringify({ row, reason, values })
      // PostgreSQL's text can contain neither.
      .replaceAll('\0', '')
      .toWellFormed()
  );
}

/** Checks first, because a role that may not create tables can still use existing ones. */
async function createTables(client: Client): Promise<void> {
  const { rows } = await client.query<{ exists: boolean }>(
    "SELECT to_regclass('baton_data_positions') IS NOT NULL AND to_regclass('baton_data_rejects') IS NOT NULL AS exists",
  );
  if (rows[0]?.exists === true) return;
  // Two concurrent creations would collide on the names.
  await client.query(`BEGIN; SELECT pg_advisory_xact_lock(hashtext('baton_data_positions')); ${CREATE}; COMMIT`);
}

function overtaken(): Error {
  return new Error('another attempt of this job has taken over');
}
