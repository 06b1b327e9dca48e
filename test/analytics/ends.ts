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
  wait_ms: number | null;
  run_ms: number | null;
  memory_bytes: number | null;
}

/**
 * Writes every end down as it happens, by triggers and so without what the product reckons them from; deleted jobs stay
 * in it.
 */
export async function witnessEnds(sql: TestSql): Promise<void> {
  await sql.query(`
    CREATE TABLE ends (at timestamptz, queue text, type text, user_id text, runner_id text, outcome text, ending text,
      cost float8, wait_ms float8, run_ms float8, memory_bytes float8);
    CREATE FUNCTION witness_job() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
      IF NEW.finished_at IS NOT NULL AND OLD.finished_at IS NULL THEN
        INSERT INTO ends VALUES (now(), NEW.queue, NEW.type, NEW.user_id, CASE WHEN OLD.status = 'running' THEN OLD.runner_id END,
          CASE WHEN NEW.status = 'completed' THEN 'completed' END, NEW.status, CASE WHEN NEW.status = 'completed' THEN (NEW.metrics ->> 'cost')::float8 END,
          CASE WHEN NEW.status = 'completed' THEN extract(epoch FROM OLD.started_at - OLD.run_at) * 1000 END,
          CASE WHEN NEW.status = 'completed' THEN extract(epoch FROM now() - OLD.started_at) * 1000 END,
          CASE WHEN NEW.status = 'completed' THEN (NEW.metrics ->> 'memoryPeakBytes')::float8 END);
      END IF; RETURN NULL; END $$;
    CREATE FUNCTION witness_attempt() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
      INSERT INTO ends SELECT now(), j.queue, j.type, j.user_id, NEW.runner_id, NEW.outcome, NULL,
          (NEW.metrics ->> 'cost')::float8, extract(epoch FROM NEW.started_at - NEW.due_at) * 1000,
          extract(epoch FROM now() - NEW.started_at) * 1000, (NEW.metrics ->> 'memoryPeakBytes')::float8
        FROM jobs j WHERE j.id = NEW.job_id;
      RETURN NULL; END $$;
    CREATE TRIGGER witness AFTER UPDATE ON jobs FOR EACH ROW EXECUTE FUNCTION witness_job();
    CREATE TRIGGER witness AFTER INSERT ON attempts FOR EACH ROW EXECUTE FUNCTION witness_attempt();`);
}

const STEPS_MS = { minute: 60_000, hour: 3_600_000, day: 86_400_000 };

/** What the rollups should hold: by grain, dimension, owner, time and key; in the order of `COUNTS` and `SUMS`. */
export async function expectedRollups(sql: TestSql): Promise<Map<string, number[]>> {
  const expected = new Map<string, number[]>();
  for (const end of await sql.query<End>('SELECT * FROM ends')) {
    for (const [grain, stepMs] of Object.entries(STEPS_MS)) {
      const at = new Date(Math.floor(end.at.getTime() / stepMs) * stepMs).toISOString();
      for (const place of placesOf(end)) {
        const name = [grain, place[0], place[1], at, place[2]].join('|');
        const row = expected.get(name) ?? HELD.map(() => 0);
        expected.set(
          name,
          row.map((count, index) => count + (HELD[index]?.(end) ?? 0)),
        );
      }
    }
  }
  return new Map([...expected].sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** What they do hold. */
export async function heldRollups(sql: TestSql): Promise<Map<string, number[]>> {
  const rows = await sql.query<
    Record<string, string> & { at: Date; wait_counts: string[]; run_counts: string[]; memory_counts: string[] }
  >('SELECT * FROM rollups');
  const total = (counts: string[]) => counts.reduce((sum, count) => sum + Number(count), 0);
  const held = rows.map((row): [string, number[]] => [
    [row['grain'], row['dimension'], row['owner'], row.at.toISOString(), row['key']].join('|'),
    [
      ...COLUMNS.map((column) => Number(row[column])),
      total(row.run_counts),
      total(row.wait_counts),
      Math.round(Number(row['wait_ms']) * 1000),
      Math.round(Number(row['run_ms']) * 1000),
      total(row.memory_counts),
      Number(row['memory_bytes']),
    ],
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

/** How many attempts waited and told of their memory, and the sums: in whole microseconds, and in bytes. */
const SUMS: ((end: End) => number)[] = [
  ({ wait_ms: wait }) => Number(wait !== null),
  ({ wait_ms: wait }) => Math.round(Math.max(0, wait ?? 0) * 1000),
  ({ run_ms: run }) => Math.round(Math.max(0, run ?? 0) * 1000),
  ({ memory_bytes: memory }) => Number(memory !== null),
  ({ memory_bytes: memory }) => memory ?? 0,
];
const HELD = [...COUNTS, ...SUMS];

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
export async function expectedItems(sql: TestSql, by: Dimension): Promise<Map<string, number[]>> {
  return new Map([...(await endsBy(sql, by))].map(([key, ends]) => [key, countsOfEnds(ends)]));
}

/** Waits, runs and memory peaks of the attempts that ended, of one dimension, in order; a duration below 0 is 0. */
export async function expectedSpreads(
  sql: TestSql,
  by: Dimension,
): Promise<Map<string, Record<'waitMs' | 'runMs' | 'memoryBytes', number[]>>> {
  const sorted = (values: (number | null)[]) =>
    values.flatMap((value) => (value === null ? [] : Math.max(0, value))).sort((a, b) => a - b);
  return new Map(
    [...(await endsBy(sql, by))].map(([key, ends]) => [
      key,
      {
        waitMs: sorted(ends.map((end) => end.wait_ms)),
        runMs: sorted(ends.map((end) => end.run_ms)),
        memoryBytes: sorted(ends.map((end) => end.memory_bytes)),
      },
    ]),
  );
}

type Dimension = 'queue' | 'type' | 'user' | 'runner';

async function endsBy(sql: TestSql, by: Dimension): Promise<Map<string, End[]>> {
  const column = by === 'user' || by === 'runner' ? (`${by}_id` as const) : by;
  const known = (await sql.query<End>('SELECT * FROM ends')).filter((end) => end[column] !== null);
  const keys = [...new Set(known.map((end) => end[column] ?? ''))].sort();
  return new Map(keys.map((key) => [key, known.filter((end) => end[column] === key)]));
}

function countsOfEnds(ends: End[]): number[] {
  return COUNTS.map((count) => ends.reduce((sum, end) => sum + count(end), 0));
}
