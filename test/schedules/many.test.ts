import { lockDue } from '../../coordinator/store/schedules/rows';
import { Explainer, PLANNED } from '../flow/explained';
import { fire } from '../../coordinator/domain/schedules/fire';
import type { Context } from '../../coordinator/context';
import { Stage } from './stage';

// Ten thousand schedules whose ticks are due in one minute.

const MANY = 10_000;
let stage: Stage;
beforeAll(async () => {
  stage = await Stage.open(2);
});
afterAll(() => stage.close());

test('are walked over once, and fire once each on two coordinators', async () => {
  const { id } = await stage.create({ everyMs: 3_600_000 });
  const loops = stage.coordinators.map(({ app }) => app.loops.schedules);
  await Promise.all(loops.map((loop) => loop.stop()));
  await stage.sql.query(
    `INSERT INTO schedules
     SELECT (jsonb_populate_record(s, jsonb_build_object('id', gen_random_uuid(), 'name', 'many-' || n,
       'next_at', d.at, 'due_at', d.at, 'created_at', d.at - interval '1 hour'))).*
     FROM schedules s CROSS JOIN generate_series(1, $2) n
       CROSS JOIN LATERAL (SELECT date_trunc('milliseconds', now()) - n * interval '1 ms' AS at) d
     WHERE s.id = $1`,
    [id, MANY],
  );
  const explainer = await Explainer.connect(stage.sql.url);
  const most = { rows: 500, bytes: 8 * 1024 * 1024 };
  for (const planned of PLANNED) {
    const { rows, seqScans } = await explainer.cost((db) => lockDue(db, most), planned, ['schedules']);
    expect([planned, seqScans, rows <= 2 * most.rows]).toEqual([planned, 0, true]);
  }
  await explainer.end();
  await Promise.all(stage.coordinators.map(({ app }) => fireAll(app.context)));
  const [counted] = await stage.sql.query<{ ticks: number; jobs: number; late: number }>(
    `SELECT (SELECT count(DISTINCT schedule_id)::int FROM schedule_ticks WHERE outcome = 'created') AS ticks,
       (SELECT count(DISTINCT schedule_id)::int FROM jobs WHERE schedule_id IS NOT NULL) AS jobs,
       (SELECT count(*)::int FROM schedules WHERE due_at <= now()) AS late`,
  );
  expect(counted).toEqual({ ticks: MANY, jobs: MANY, late: 0 });
  expect(await stage.sql.count('schedule_ticks')).toBe(MANY);
}, 60_000);

async function fireAll(context: Context): Promise<void> {
  while (await fire(context));
}
