import { randomBytes } from 'node:crypto';
import { type EmbeddedDatabase, startEmbedded } from '@baton/coordinator/dist/store/embedded';
import { Client, type QueryResultRow } from 'pg';

/** One server for all systems; durable, with the settings of Baton's embedded database except for these. */
export const SERVER_SETTINGS: Record<string, string> = {
  max_connections: '200',
  shared_preload_libraries: 'pg_stat_statements',
  'pg_stat_statements.track': 'top',
};

/** Settings that determine the cost of a commit; read from the server for the report. */
const TOLD_SETTINGS = [
  'fsync',
  'synchronous_commit',
  'full_page_writes',
  'shared_buffers',
  'max_wal_size',
  'wal_level',
  'max_connections',
];

/** The PostgreSQL server of the run. */
export class Postgres {
  private constructor(
    private readonly embedded: EmbeddedDatabase,
    readonly pid: number,
  ) {}

  static async start(dataDir: string, explains: boolean): Promise<Postgres> {
    const log = { info: () => undefined, warn: (message: string) => process.stderr.write(`${message}\n`) };
    // Timing the planner has a cost of its own.
    const settings = { ...SERVER_SETTINGS, 'pg_stat_statements.track_planning': explains ? 'on' : 'off' };
    const embedded = await startEmbedded({ dataDir, log, settings });
    await query(embedded.url, 'CREATE EXTENSION pg_stat_statements');
    const [file] = await query<{ text: string }>(embedded.url, `SELECT pg_read_file('postmaster.pid') AS text`);
    return new Postgres(embedded, Number.parseInt(file?.text ?? '', 10));
  }

  async stop(): Promise<void> {
    await this.embedded.stop();
  }

  async createDatabase(): Promise<Database> {
    const name = `bench_${randomBytes(6).toString('hex')}`;
    await query(this.embedded.url, `CREATE DATABASE ${name}`);
    // For the benchmark's own queries: Baton's tables are in a schema of their own.
    await query(this.embedded.url, `ALTER DATABASE ${name} SET search_path = baton, public`);
    const url = new URL(this.embedded.url);
    url.pathname = name;
    return new Database(url.href, name, this.embedded.url);
  }

  async describe(): Promise<{ version: string; settings: Record<string, string> }> {
    const rows = await query<{ name: string; setting: string }>(
      this.embedded.url,
      `SELECT name, current_setting(name) AS setting FROM pg_settings WHERE name = ANY ($1) OR name = 'server_version'`,
      [TOLD_SETTINGS],
    );
    const found = new Map(rows.map((row) => [row.name, row.setting]));
    return {
      version: found.get('server_version') ?? '',
      settings: Object.fromEntries(TOLD_SETTINGS.map((name) => [name, found.get(name) ?? ''])),
    };
  }
}

/** As pg_stat_statements counts it. */
export interface Statement {
  query: string;
  calls: number;
  rows: number;
  totalMs: number;
  planMs: number;
  buffers: number;
  walBytes: number;
}

/** A database of its own for one run of one line. */
export class Database {
  constructor(
    readonly url: string,
    private readonly name: string,
    private readonly serverUrl: string,
  ) {}

  async drop(): Promise<void> {
    await query(this.serverUrl, `DROP DATABASE IF EXISTS ${this.name} WITH (FORCE)`);
  }

  query<Row extends QueryResultRow>(text: string, values: unknown[] = []): Promise<Row[]> {
    return query<Row>(this.url, text, values);
  }

  /** The cost of its statements since the last `forgetStatements`, most expensive first. */
  statements(): Promise<Statement[]> {
    return query<Statement>(
      this.serverUrl,
      `SELECT s.query, s.calls::float8, s.rows::float8, s.total_exec_time AS "totalMs",
         s.total_plan_time AS "planMs", (s.shared_blks_hit + s.shared_blks_read)::float8 AS buffers, s.wal_bytes::float8 AS "walBytes"
       FROM pg_stat_statements s JOIN pg_database d ON d.oid = s.dbid
       WHERE d.datname = $1 ORDER BY s.total_exec_time DESC`,
      [this.name],
    );
  }

  async forgetStatements(): Promise<void> {
    await query(this.serverUrl, 'SELECT pg_stat_statements_reset(0, oid, 0) FROM pg_database WHERE datname = $1', [
      this.name,
    ]);
  }

  /** Holds a snapshot open, as a long report or a forgotten transaction would. */
  async pin(): Promise<() => Promise<void>> {
    const client = new Client({ connectionString: this.url });
    await client.connect();
    await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ');
    await client.query('SELECT count(*) FROM pg_class');
    return () => client.end();
  }
}

async function query<Row extends QueryResultRow>(url: string, text: string, values: unknown[] = []): Promise<Row[]> {
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query<Row>(text, values)).rows;
  } finally {
    await client.end();
  }
}
