import { Client } from 'pg';
import type { Change, DumpedAttempt, DumpedJob } from './history';

/** In the transaction of each change of a job, and so true whatever becomes of the process that made it. */
const INSTALL = `
  CREATE SCHEMA witness;
  CREATE TABLE witness.changes (
    seq bigserial PRIMARY KEY, job_id uuid NOT NULL, now timestamptz NOT NULL, at timestamptz NOT NULL, was jsonb, became jsonb);
  CREATE FUNCTION witness.ms(moment timestamptz) RETURNS float8 LANGUAGE sql IMMUTABLE AS
    $$ SELECT extract(epoch FROM moment)::float8 * 1000 $$;
  CREATE FUNCTION witness.view(job jobs) RETURNS jsonb LANGUAGE sql STABLE AS $$
    SELECT jsonb_build_object('status', job.status, 'attempt', job.attempt, 'failures', job.failures, 'token', job.lease_token,
      'runnerId', job.runner_id, 'runAtMs', witness.ms(job.run_at), 'finishedAtMs', witness.ms(job.finished_at),
      'result', job.result, 'error', job.error) $$;
  CREATE FUNCTION witness.see() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
      INSERT INTO witness.changes (job_id, now, at, was, became) VALUES (
        COALESCE(NEW.id, OLD.id), now(), clock_timestamp(),
        CASE TG_OP WHEN 'INSERT' THEN NULL ELSE witness.view(OLD) END, CASE TG_OP WHEN 'DELETE' THEN NULL ELSE witness.view(NEW) END);
      RETURN NULL;
    END $$;
  CREATE TRIGGER witness AFTER INSERT OR UPDATE OR DELETE ON jobs FOR EACH ROW EXECUTE FUNCTION witness.see();`;

/** Reads what a test wants to know straight from the database, past the product. */
export class Witness {
  constructor(private readonly url: string) {}

  async install(): Promise<void> {
    await this.query(INSTALL);
  }

  changes(): Promise<Change[]> {
    return this.query(`
      SELECT job_id AS "jobId", witness.ms(now) AS "nowMs", witness.ms(at) AS "atMs", was, became FROM witness.changes ORDER BY seq`);
  }

  jobs(): Promise<DumpedJob[]> {
    return this.query(`
      SELECT id, arguments ->> 'key' AS key, status, attempt, failures, max_attempts AS "maxAttempts", runner_id AS "runnerId", result
      FROM jobs ORDER BY id`);
  }

  attempts(): Promise<DumpedAttempt[]> {
    return this.query(`
      SELECT job_id AS "jobId", attempt, lease_token AS token, outcome, late_result IS NOT NULL AS "hasLateReport"
      FROM attempts ORDER BY job_id, attempt`);
  }

  /** How many jobs there are in each status. */
  async counts(): Promise<Record<string, number>> {
    const rows = await this.query<{ status: string; count: number }>(
      'SELECT status, count(*)::int AS count FROM jobs GROUP BY status',
    );
    return Object.fromEntries(rows.map(({ status, count }) => [status, count]));
  }

  /** Ends every other connection to the server. */
  async cutAll(): Promise<number> {
    const rows = await this.query<{ ended: boolean }>(`
      SELECT pg_terminate_backend(pid) AS ended FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()`);
    return rows.length;
  }

  async query<Row>(text: string, values: unknown[] = []): Promise<Row[]> {
    const client = new Client({ connectionString: this.url, application_name: 'witness' });
    client.on('error', () => undefined);
    await client.connect();
    try {
      return values.length === 0
        ? ((await client.query(text)).rows as Row[])
        : ((await client.query(text, values)).rows as Row[]);
    } finally {
      await client.end().catch(() => undefined);
    }
  }
}
