import { startCoordinator } from '../support/coordinator';
import { uniqueType } from '../support/factory';

const ROUNDS = 20;
const JOBS = 20;

let coordinator: Awaited<ReturnType<typeof startCoordinator>>;
beforeAll(async () => (coordinator = await startCoordinator()));
afterAll(() => coordinator.stop());

test('completions that meet the monitor at the end of their leases are accepted or timed out, never both, never neither', async () => {
  const { api, sql, runMonitor } = coordinator;
  const type = uniqueType();
  const retry = { strategy: 'fixed', baseMs: 3_600_000, jitter: 0 };
  await api.post('/jobs/bulk', { jobs: Array.from({ length: ROUNDS * JOBS }, () => ({ type, retry })) });
  const statuses: { id: string; status: number }[] = [];
  for (let round = 0; round < ROUNDS; round += 1) {
    const claimed = await api.claim({ runnerId: 'edge', types: [type], max: JOBS });
    expect(claimed.length).toBe(JOBS);
    await sql.query('UPDATE jobs SET lease_expires_at = now() WHERE id = ANY ($1)', [
      claimed.slice(0, JOBS / 2).map(({ id }) => id),
    ]);
    const complete = async (job: (typeof claimed)[number]) => ({
      id: job.id,
      status: (await api.complete(job, { outcome: 'completed', result: round })).status,
    });
    // In turns the monitor or the runners go first; who wins is open.
    const early = round % 2 === 0 ? claimed.map(complete) : [];
    const [late] = await Promise.all([
      (async () => (round % 2 === 0 ? [] : Promise.all(claimed.map(complete))))(),
      runMonitor(),
    ]);
    statuses.push(...(await Promise.all(early)), ...late);
  }
  await runMonitor();
  const rows = await sql.query<{ id: string; status: string; outcome: string | null; late: boolean | null }>(
    'SELECT j.id, j.status::text, a.outcome::text, a.late_result IS NOT NULL AS late FROM jobs j LEFT JOIN attempts a ON a.job_id = j.id WHERE j.type = $1',
    [type],
  );
  const found = new Map(rows.map((row) => [row.id, `${row.status} ${row.outcome} ${row.late}`]));
  expect(
    statuses.filter(
      ({ id, status }) => found.get(id) !== (status === 200 ? 'completed null false' : 'pending timed_out true'),
    ),
  ).toEqual([]);
  const timedOut = statuses.filter(({ status }) => status === 409).length;
  process.stdout.write(`accepted ${statuses.length - timedOut}, timed out ${timedOut}\n`);
  expect(timedOut).toBeGreaterThan(0);
  expect(timedOut).toBeLessThanOrEqual((ROUNDS * JOBS) / 2);
}, 60_000);
