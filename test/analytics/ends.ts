import type { TestSql } from '../support/sql';

/** The end of an attempt, of a job, or of both, as it happened. */
export interface End {
  at: Date;
  queue: string;
  type: string;
  user_id: string | null;
  runner_id: string | null;
  outcome: 'completed' | 'failed' | 'timed_out' | 'released' | 'cancelled' | null;
  ending: 'completed' | 'failed' | 'cancelled' | null;
  cost: number | null;
  run_ms: number | null;
}

/** Writes every end down as it happens, by triggers and so without what the product reckons them from; deleted jobs stay in it. */
export async function witnessEnds(sql: TestSql): Promise<void> {
  await sql.query(`
    CREATE TABLE ends (at timestamptz, queue text, type text, user_id text, runner_id text, outcome text, ending text, cost float8, run_ms float8);
    CREATE FUNCTION witness_job() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
      IF NEW.finished_at IS NOT NULL AND OLD.finished_at IS NULL THEN
        INSERT INTO ends VALUES (now(), NEW.queue, NEW.type, NEW.user_id, CASE WHEN OLD.status = 'running' THEN OLD.runner_id END,
          CASE WHEN NEW.status = 'completed' THEN 'completed' END, NEW.status, CASE WHEN NEW.status = 'completed' THEN (NEW.metrics ->> 'cost')::float8 END,
          CASE WHEN NEW.status = 'completed' THEN extract(epoch FROM now() - OLD.started_at) * 1000 END);
      END IF; RETURN NULL; END $$;
    CREATE FUNCTION witness_attempt() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
      INSERT INTO ends SELECT now(), j.queue, j.type, j.user_id, NEW.runner_id, NEW.outcome, NULL, (NEW.metrics ->> 'cost')::float8, extract(epoch FROM now() - NEW.started_at) * 1000
        FROM jobs j WHERE j.id = NEW.job_id;
      RETURN NULL; END $$;
    CREATE TRIGGER witness AFTER UPDATE ON jobs FOR EACH ROW EXECUTE FUNCTION witness_job();
    CREATE TRIGGER witness AFTER INSERT ON attempts FOR EACH ROW EXECUTE FUNCTION witness_attempt();`);
}

const STEPS_MS = { minute: 60_000, hour: 3_600_000, day: 86_400_000 };

/** What the rollups should hold: by grain, dimension, owner, time and key; the counts in the order of `COUNTS`. */
export async function expectedRollups(sql: TestSql): Promise<Map<string, number[]>> {
  const expected = new Map<string, number[]>();
  for (const end of await sql.query<End>('SELECT * FROM ends')) {
    for (const [grain, stepMs] of Object.entries(STEPS_MS)) {
      const at = new Date(Math.floor(end.at.getTime() / stepMs) * stepMs).toISOString();
      for (const place of placesOf(end)) {
        const name = [grain, place[0], place[1], at, place[2]].join('|');
        const row = expected.get(name) ?? COUNTS.map(() => 0);
        expected.set(
          name,
          row.map((count, index) => count + (COUNTS[index]?.(end) ?? 0)),
        );
      }
    }
  }
  return new Map([...expected].sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** What they do hold. */
export async function heldRollups(sql: TestSql): Promise<Map<string, number[]>> {
  const rows = await sql.query<Record<string, string> & { at: Date; run_counts: string[] }>('SELECT * FROM rollups');
  const held = rows.map((row): [string, number[]] => [
    [row['grain'], row['dimension'], row['owner'], row.at.toISOString(), row['key']].join('|'),
    [...COLUMNS.map((column) => Number(row[column])), row.run_counts.reduce((sum, count) => sum + Number(count), 0)],
  ]);
  return new Map(held.sort(([a], [b]) => (a < b ? -1 : 1)));
}

const COLUMNS = [
  'jobs_completed',
  'jobs_failed',
  'jobs_cancelled',
  'attempts_failed',
  'attempts_timed_out',
  'attempts_released',
  'attempts_cancelled',
];
const COUNTS: ((end: End) => number)[] = [
  ({ ending }) => Number(ending === 'completed'),
  ({ ending }) => Number(ending === 'failed'),
  ({ ending }) => Number(ending === 'cancelled'),
  ({ outcome }) => Number(outcome === 'failed'),
  ({ outcome }) => Number(outcome === 'timed_out'),
  ({ outcome }) => Number(outcome === 'released'),
  ({ outcome }) => Number(outcome === 'cancelled'),
  ({ outcome }) => Number(outcome !== null),
];

function placesOf({ queue, type, user_id: user, runner_id: runner }: End): [string, string, string][] {
  const all: [string, string, string | null][] = [
    ['all', '', ''],
    ['queue', '', queue],
    ['type', '', type],
    ['user', '', user],
    ['runner', '', runner],
  ];
  if (user !== null) all.push(['queue', user, queue], ['type', user, type], ['runner', user, runner]);
  return all.flatMap(([dimension, owner, key]): [string, string, string][] =>
    key === null ? [] : [[dimension, owner, key]],
  );
}

/** Ends by the kinds that `GET /analytics` tells of, of one dimension. */
export async function expectedItems(
  sql: TestSql,
  by: 'queue' | 'type' | 'user' | 'runner',
  owner: string | null = null,
): Promise<Map<string, number[]>> {
  const column = by === 'user' || by === 'runner' ? (`${by}_id` as const) : by;
  const items = new Map<string, number[]>();
  for (const end of await sql.query<End>('SELECT * FROM ends')) {
    const key = end[column];
    if (key === null || (owner !== null && end.user_id !== owner)) continue;
    const row = items.get(key) ?? COUNTS.map(() => 0);
    items.set(
      key,
      row.map((count, index) => count + (COUNTS[index]?.(end) ?? 0)),
    );
  }
  return new Map([...items].sort(([a], [b]) => (a < b ? -1 : 1)));
}
