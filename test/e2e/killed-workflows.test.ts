import type { Workflow } from '@baton/runner-sdk/protocol';
import { ADMIN_KEY, type Coordinator } from './support/processes';
import { Stage } from './support/stage';
import { until } from './support/until';
import { WORK } from './support/work';

const WORKFLOWS = 16;
/** As many as there is work for. */
const MOST_KILLS = 6;

interface Judged {
  workflow: string;
  status: string;
  key: string;
  reason: string | null;
  policy: 'run' | 'cancel';
  parents: string[] | null;
  /** How its parents ended. */
  ends: string[] | null;
  isEarly: boolean | null;
  isGate: boolean;
}

let stage: Stage;

beforeEach(async () => {
  stage = await Stage.open('killed workflows');
});

afterEach(() => stage.close());

it('ends random graphs as their edges say, though three coordinators are killed in turns', async () => {
  const { random } = stage;
  const coordinators = await Promise.all(['one', 'two', 'three'].map((name) => stage.coordinator({ name })));
  const urls = coordinators.map(({ url }) => url);
  await Promise.all(['anna', 'bert'].map((name) => stage.runner({ name, urls, concurrency: 4, leaseMs: 5000 })));
  const ids = await Promise.all(Array.from({ length: WORKFLOWS }, (_, nth) => create(urls[nth % 3] ?? '')));

  for (let kills = 0; kills < MOST_KILLS && (await isRunning()); kills += 1) {
    const before = await countOf('jobs WHERE finished_at IS NOT NULL');
    await until('jobs end', async () => {
      await decideWaiting(urls[kills % 3] ?? '');
      return (await countOf('jobs WHERE finished_at IS NOT NULL')) > before || !(await isRunning());
    });
    const victim = coordinators[kills % 3] as Coordinator;
    await victim.kill();
    if (await isRunning()) stage.bite('killed while workflows ran');
    const risen = await stage.restartCoordinator(victim);
    coordinators[kills % 3] = risen;
    await until(`${risen.name} is ready`, async () => (await risen.probe('/readyz')) === 200);
    // Somebody else ends some of it, too.
    await post(`${risen.url}/workflows/${random.pick(ids)}/cancel`, { key: `n${random.between(8, 20)}` });
  }
  await until(
    'all have ended',
    async () => {
      await decideWaiting(urls[0] ?? '');
      return !(await isRunning());
    },
    60_000,
  );

  const jobs = await judged();
  expect(jobs).toHaveLength(await countOf('jobs'));
  for (const job of jobs) {
    const { status, reason, policy, ends } = job;
    expect([job.workflow, job.key, status]).toEqual([
      job.workflow,
      job.key,
      expect.stringMatching(/^(completed|failed|cancelled)$/),
    ]);
    const isWell = (ends ?? []).every((end) => end === 'completed');
    const byParent = reason?.startsWith('dependency_') === true;
    // It ran only if its edges let it, and was cancelled by a parent only if one gave cause.
    if (status !== 'cancelled' && policy === 'cancel') expect([job.key, isWell]).toEqual([job.key, true]);
    if (byParent) expect([job.key, policy, isWell]).toEqual([job.key, 'cancel', false]);
    expect([job.key, job.isEarly ?? false]).toEqual([job.key, false]);
  }
  expect(jobs.some(({ isGate, status }) => isGate && status === 'completed')).toBe(true);
  expect(await countOf('dependencies WHERE outcome IS NULL')).toBe(0);
  const wrong = await countOf(`workflows w CROSS JOIN LATERAL (
    SELECT bool_or(j.status = 'failed') AS failed, bool_or(j.status = 'cancelled') AS cancelled FROM jobs j WHERE j.workflow_id = w.id) j
    WHERE w.status::text <> CASE WHEN j.failed THEN 'failed' WHEN j.cancelled THEN 'cancelled' ELSE 'completed' END`);
  expect(wrong).toBe(0);
  expect(stage.faults['killed while workflows ran'] ?? 0).toBeGreaterThan(0);
  stage.pass();
});

/** A graph in which each node waits for up to three before it. */
async function create(url: string): Promise<string> {
  const { random } = stage;
  const jobs: Record<string, unknown> = {};
  const size = random.between(12, 30);
  for (let nth = 0; nth < size; nth += 1) {
    const dependsOn = [
      ...new Set(Array.from({ length: random.between(0, Math.min(3, nth)) }, () => `n${random.between(0, nth - 1)}`)),
    ];
    const policy = random.pick(['cancel', 'run']);
    const after = dependsOn.length === 0 ? {} : { dependsOn, onDependencyFailure: policy };
    if (random.next() < 0.1) {
      jobs[`n${nth}`] = { gate: {}, ...after };
      continue;
    }
    jobs[`n${nth}`] = {
      type: WORK,
      arguments: { key: `n${nth}`, does: [random.next() < 0.1 ? 'fail' : 'wait'], ms: [random.between(20, 400)] },
      maxAttempts: 3,
      retry: { strategy: 'fixed', baseMs: 20, jitter: 0 },
      ...after,
    };
  }
  const answer = await post(`${url}/workflows`, { name: 'random', jobs });
  expect(answer.status).toBe(201);
  return ((await answer.json()) as Workflow).id;
}

/** Opens or refuses the gates that can be decided; one that is killed meanwhile leaves it to the next. */
async function decideWaiting(url: string): Promise<void> {
  const gates = await stage.witness.query<{ id: string; key: string }>(`
    SELECT j.workflow_id::text AS id, j.workflow_key AS key FROM jobs j WHERE j.queue = '' AND j.status = 'blocked'
      AND NOT EXISTS (SELECT FROM dependencies d WHERE d.job_id = j.id AND d.outcome IS NULL)`);
  await Promise.all(
    gates.map(({ id, key }) =>
      post(`${url}/workflows/${id}/gates/${key}`, {
        outcome: stage.random.next() < 0.75 ? 'opened' : 'refused',
      }).catch(() => undefined),
    ),
  );
}

function post(url: string, body: object): Promise<Response> {
  return fetch(url, {
    method: 'POST',
    headers: { authorization: `Bearer ${ADMIN_KEY}`, 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
}

function judged(): Promise<Judged[]> {
  return stage.witness.query<Judged>(`
    SELECT j.workflow_id::text AS workflow, j.workflow_key AS key, j.status::text AS status, j.reason, COALESCE(p.policy, 'cancel') AS policy,
      p.keys AS parents, p.ends, LEAST(j.started_at, (SELECT min(a.started_at) FROM attempts a WHERE a.job_id = j.id)) < p.at AS "isEarly",
      j.queue = '' AS "isGate"
    FROM jobs j LEFT JOIN LATERAL (
      SELECT array_agg(p.workflow_key) AS keys, array_agg(p.status::text) AS ends, max(p.finished_at) AS at,
        CASE WHEN bool_or(d.tolerates_failure) THEN 'run' ELSE 'cancel' END AS policy
      FROM dependencies d JOIN jobs p ON p.id = d.parent_id WHERE d.job_id = j.id
    ) p ON true ORDER BY j.id`);
}

async function isRunning(): Promise<boolean> {
  return (await countOf("workflows WHERE status = 'running'")) > 0;
}

async function countOf(rows: string): Promise<number> {
  const [row] = await stage.witness.query<{ count: number }>(`SELECT count(*)::int AS count FROM ${rows}`);
  return row?.count ?? 0;
}
