import { Client, Pool, type QueryResultRow } from 'pg';
import { eventually } from './eventually';

/** Looks and reaches into a coordinator's database, past the coordinator. */
export class TestSql {
  private readonly pool: Pool;

  constructor(
    readonly url: string,
    connections = 4,
  ) {
    this.pool = new Pool({ connectionString: url, max: connections, application_name: 'test' });
    // The server may be gone before this pool.
    this.pool.on('error', () => undefined);
  }

  async query<Row extends QueryResultRow>(text: string, values: unknown[] = []): Promise<Row[]> {
    return (await this.pool.query<Row>(text, values)).rows;
  }

  async one<Row extends QueryResultRow>(text: string, values: unknown[] = []): Promise<Row> {
    const [row] = await this.query<Row>(text, values);
    if (row === undefined) throw new Error(`no row: ${text}`);
    return row;
  }

  async count(text: string, values: unknown[] = []): Promise<number> {
    return (await this.one<{ count: number }>(`SELECT count(*)::int AS count FROM ${text}`, values)).count;
  }

  /** The lease runs out, though no time passed. */
  async expireLease(jobId: string): Promise<void> {
    await this.query(
      "UPDATE jobs SET lease_expires_at = now() - interval '1 ms' WHERE id = $1 AND status = 'running'",
      [jobId],
    );
  }

  /** The deadline passes, and with it, as ever, the lease. */
  async passDeadline(jobId: string): Promise<void> {
    await this.query(
      "UPDATE jobs SET deadline_at = now() - interval '1 ms', lease_expires_at = now() - interval '1 ms' WHERE id = $1 AND status = 'running'",
      [jobId],
    );
  }

  async expireJob(jobId: string): Promise<void> {
    await this.query("UPDATE jobs SET expires_at = now() - interval '1 ms' WHERE id = $1", [jobId]);
  }

  async makeDue(jobId: string): Promise<void> {
    await this.query('UPDATE jobs SET run_at = now() WHERE id = $1', [jobId]);
  }

  /** As a dependency that is unfinished will do; no verb does it yet. Hidden from triggers. */
  async block(jobId: string): Promise<void> {
    const client = await this.pool.connect();
    try {
      await client.query('BEGIN');
      await client.query('SET LOCAL session_replication_role = replica');
      await client.query("UPDATE jobs SET status = 'blocked' WHERE id = $1 AND status = 'pending'", [jobId]);
      await client.query('COMMIT');
    } finally {
      client.release();
    }
  }

  /** A connection of its own, to hold locks with. */
  async session(): Promise<Session> {
    const client = new Client({ connectionString: this.url, application_name: 'test-session' });
    client.on('error', () => undefined);
    await client.connect();
    const { pid } = (await client.query<{ pid: number }>('SELECT pg_backend_pid() AS pid')).rows[0] ?? { pid: 0 };
    return new Session(client, pid, this);
  }

  async end(): Promise<void> {
    await this.pool.end();
  }
}

/** One connection, stepped by hand; also what a statement of the store runs on. */
export class Session {
  constructor(
    private readonly client: Client,
    readonly pid: number,
    private readonly watch: TestSql,
  ) {}

  async query<Row>(statement: { text: string; values?: unknown[] }): Promise<Row[]> {
    return (await this.client.query(statement.text, statement.values ?? [])).rows as Row[];
  }

  async begin(): Promise<void> {
    await this.client.query('BEGIN');
  }

  async commit(): Promise<void> {
    await this.client.query('COMMIT');
  }

  async rollback(): Promise<void> {
    await this.client.query('ROLLBACK');
  }

  /** Resolves once another connection waits for a lock that this one holds. */
  async hasWaiter(count = 1): Promise<void> {
    await eventually(
      () => this.watch.count('pg_stat_activity WHERE $1::int = ANY (pg_blocking_pids(pid))', [this.pid]),
      (waiting) => waiting >= count,
    );
  }

  async end(): Promise<void> {
    await this.client.end();
  }
}
