import type { Schedule } from '@baton/runner-sdk/protocol';
import { ADMIN_KEY, type Coordinator } from './support/processes';
import { Stage } from './support/stage';
import { until } from './support/until';

const SCHEDULES = 1000;
const ROUNDS = 2;
/**
 * What a transaction that fires waits in its midst: longer than it takes the other coordinator to look, and to take the
 * rest.
 */
const SLEEP_S = 1.5;

let stage: Stage;

beforeEach(async () => {
  stage = await Stage.open('killed schedules');
});

afterEach(() => stage.close());

it('fires each tick of a thousand schedules once, though coordinators are killed while they fire', async () => {
  const { witness, random } = stage;
  const coordinators = await Promise.all(['left', 'right'].map((name) => stage.coordinator({ name })));
  await makeSchedules(coordinators[0] as Coordinator);
  await witness.query(`
    CREATE FUNCTION dawdle() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(${SLEEP_S}); RETURN NULL; END $$;
    CREATE TRIGGER dawdle BEFORE INSERT ON schedule_ticks FOR EACH STATEMENT EXECUTE FUNCTION dawdle()`);

  const rounds: Date[] = [];
  for (let round = 0; round < ROUNDS; round += 1) {
    const [due] = await witness.query<{ at: Date }>(`
      WITH due AS (UPDATE schedules SET next_at = n.at, due_at = n.at FROM (SELECT date_trunc('milliseconds', clock_timestamp()) AS at) n RETURNING next_at)
      SELECT min(next_at) AS at FROM due`);
    rounds.push(due?.at ?? new Date(0));
    await until('both are in the midst of it', async () => (await dawdling()) >= 2);
    await new Promise((resolve) => setTimeout(resolve, random.between(0, 100)));
    const victim = coordinators[round % 2] as Coordinator;
    const before = await countOf('schedule_ticks');
    await victim.kill();
    if (before < SCHEDULES * (round + 1)) stage.bite('killed while firing');
    coordinators[round % 2] = await stage.restartCoordinator(victim);
    await until('all have fired', async () => (await countOf('schedules WHERE due_at <= now()')) === 0);
  }

  // By what the rows say, without a word of the coordinator's: as many jobs as ticks, and one for each.
  expect(await countOf('schedule_ticks')).toBe(SCHEDULES * ROUNDS);
  expect(await countOf('jobs')).toBe(SCHEDULES * ROUNDS);
  const ticked = await witness.query<{ schedule: string; at: string; count: number }>(
    "SELECT schedule_id::text AS schedule, metadata ->> 'tickAt' AS at, count(*)::int AS count FROM jobs GROUP BY 1, 2",
  );
  expect(ticked.filter(({ count }) => count !== 1)).toEqual([]);
  expect(new Set(ticked.map(({ at }) => at))).toEqual(new Set(rounds.map((at) => at.toISOString())));
  const matched = `schedule_ticks t JOIN jobs j ON j.id = t.job_id AND j.schedule_id = t.schedule_id
    AND (j.metadata ->> 'tickAt')::timestamptz = t.at WHERE t.outcome = 'created'`;
  expect(await countOf(matched)).toBe(SCHEDULES * ROUNDS);
  expect(await countOf(`schedules WHERE runs = ${ROUNDS} AND ticks = ${ROUNDS}`)).toBe(SCHEDULES);
  expect(stage.faults['killed while firing']).toBe(ROUNDS);
  stage.pass();
});

/** Through the front door, all like the first. */
async function makeSchedules({ url }: Coordinator): Promise<void> {
  const answer = await fetch(`${url}/schedules`, {
    method: 'POST',
    headers: { authorization: `Bearer ${ADMIN_KEY}`, 'content-type': 'application/json' },
    body: JSON.stringify({ name: 'first', cron: '0 0 1 1 *', job: { type: 'tick' } }),
  });
  const { id } = (await answer.json()) as Schedule;
  await stage.witness.query(
    `INSERT INTO schedules SELECT (json_populate_record(s, json_build_object('id', gen_random_uuid(), 'name', 'copy-' || n))).*
    FROM schedules s CROSS JOIN generate_series(2, ${SCHEDULES}) n WHERE s.id = '${id}'`,
  );
  expect(await countOf('schedules')).toBe(SCHEDULES);
}

async function dawdling(): Promise<number> {
  return countOf("pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'");
}

async function countOf(rows: string): Promise<number> {
  const [row] = await stage.witness.query<{ count: number }>(`SELECT count(*)::int AS count FROM ${rows}`);
  return row?.count ?? 0;
}
