import type { TestSql } from '../support/sql';

/** Writes down, inside each statement that starts jobs, how many of their queue and key run then. */
export class Witness {
  private constructor(private readonly sql: TestSql) {}

  static async install(sql: TestSql): Promise<Witness> {
    await sql.query(`
      CREATE TABLE witnessed (at timestamptz, queue text, key text, of_queue int, of_key int);
      CREATE FUNCTION witness() RETURNS trigger LANGUAGE plpgsql VOLATILE AS $$ BEGIN
        INSERT INTO witnessed
        SELECT clock_timestamp(), started.queue, started.concurrency_key,
          (SELECT count(*) FROM jobs j WHERE j.status = 'running' AND j.queue = started.queue),
          (SELECT count(*) FROM jobs j WHERE j.status = 'running' AND j.queue = started.queue AND j.concurrency_key = started.concurrency_key)
        FROM started WHERE started.status = 'running';
        RETURN NULL;
      END $$;
      CREATE TRIGGER witness AFTER UPDATE ON jobs REFERENCING NEW TABLE AS started FOR EACH STATEMENT EXECUTE FUNCTION witness();`);
    return new Witness(sql);
  }

  /** The most that ever ran at once. */
  async most(queue: string): Promise<{ queue: number; key: number }> {
    return this.sql.one('SELECT max(of_queue)::int AS queue, max(of_key)::int AS key FROM witnessed WHERE queue = $1', [
      queue,
    ]);
  }

  /** When each job of a queue, or of one of its keys, was started, by the database's clock. */
  async starts(queue: string, key?: string): Promise<number[]> {
    const rows = await this.sql.query<{ at: number }>(
      'SELECT extract(epoch FROM at)::float8 * 1000 AS at FROM witnessed WHERE queue = $1 AND ($2::text IS NULL OR key = $2) ORDER BY at',
      [queue, key ?? null],
    );
    return rows.map(({ at }) => at);
  }
}

/** By how many starts a rate was exceeded in the worst of all windows. */
export function mostOver(starts: number[], { max, perMs }: { max: number; perMs: number }): number {
  return Math.max(
    ...starts.flatMap((from, first) =>
      starts.slice(first).map((to, more) => more + 1 - (max + ((to - from) * max) / perMs)),
    ),
  );
}
