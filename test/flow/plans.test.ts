import { randomUUID } from 'node:crypto';
import * as lanes from '../../coordinator/store/lanes';
import * as leases from '../../coordinator/store/leases';
import * as limits from '../../coordinator/store/limits';
import * as store from '../../coordinator/store/jobs';
import * as explain from '../../coordinator/store/views/explain';
import { Explainer, PLANNED } from './explained';
import { Stage } from './stage';

// No hot statement walks, whatever lies in the table and whatever the planner believes of it.

const MANY = 50_000;
const [QUEUE, LIMITED, RATED] = ['plain', 'limited', 'rated'];

let stage: Stage;
let explainer: Explainer;
beforeAll(async () => {
  stage = await Stage.open();
  await stage.restDueLoops();
  await stage.sql.query('ALTER TABLE jobs SET (autovacuum_enabled = false)');
  explainer = await Explainer.connect(stage.sql.url);
  await stage.set(RATED, { keyRateLimit: { max: 2, perMs: 3_600_000 } });
  await stage.set(LIMITED, { concurrency: 1000, concurrencyPerKey: 2, rateLimit: { max: 1000, perMs: 1000 } });
  for (const queue of [QUEUE, LIMITED])
    await stage.create(queue, 60, (n) => ({
      userId: `u${n % 7}`,
      ...(n % 3 === 0 ? { concurrencyKey: `k${n % 4}` } : {}),
    }));
  // Seven still to come, three to be placed, two orders of which one each is held.
  await stage.create(QUEUE, 10, (n) => (n < 7 ? { delayMs: 3_600_000 } : { delayMs: 1, userId: 'late' }));
  await stage.create(QUEUE, 4, (n) => ({ orderKey: `o${n % 2}` }));
  running = (await stage.claim(QUEUE, 20)).map(({ id, leaseToken }) => ({ id, leaseToken }));
  await stage.claim(LIMITED, 20);
  await stage.create(RATED, 60, (n) => ({ concurrencyKey: `k${n % 4}` }));
  await stage.claim(RATED, 4);
});
afterAll(async () => {
  await explainer.end();
  await stage.close();
});

let running: { id: string; leaseToken: string }[] = [];

/** Copies of one job that differ from it in what is given. */
async function pad(columns: Record<string, string>, count = MANY): Promise<void> {
  const names = Object.keys(columns)
    .map((name) => `"${name}"`)
    .join(', ');
  await stage.sql.query(`
    INSERT INTO jobs (id, type, queue, priority, lane_id, arguments, max_attempts, timeout_ms, created_at, updated_at, tags, ${names})
    SELECT gen_random_uuid(), j.type, j.queue, j.priority, j.lane_id, '{}', 1, 1000, now(), now(), '{}', ${Object.values(columns).join(', ')}
    FROM (SELECT * FROM jobs WHERE queue = '${QUEUE}' ORDER BY id LIMIT 1) j, generate_series(1, ${count}) n`);
}

const PADDINGS: [string, () => Promise<void>][] = [
  [
    'many keys seen',
    async () =>
      void (await stage.sql.query(`
        INSERT INTO key_buckets (queue, key, full_at, next_at)
        SELECT 'rated', 'seen' || n, now() + interval '1 h', CASE WHEN n % 100 = 0 THEN now() + interval '30 min' END
        FROM generate_series(1, ${MANY}) n`)),
  ],
  ['many keys seen, counted', async () => void (await stage.sql.query('ANALYZE key_buckets'))],
  [
    'finished jobs and no statistics',
    () =>
      pad({
        status: "'completed'",
        run_at: "now() - interval '1 day'",
        finished_at: "now() - interval '2 hours'",
        user_id: "'u' || n % 7",
      }),
  ],
  ['95 % finished jobs', async () => void (await stage.sql.query('ANALYZE jobs'))],
  ['far-future jobs', () => pad({ status: "'pending'", run_at: "now() + interval '1 day'", user_id: "'u' || n % 7" })],
  ['far-future jobs, counted', async () => void (await stage.sql.query('ANALYZE jobs'))],
  [
    'held jobs',
    () =>
      pad({
        status: "'pending'",
        run_at: "now() - interval '1 h'",
        hold: "'key'::job_hold",
        concurrency_key: "'k' || n % 4",
      }),
  ],
  [
    'held jobs of orders',
    () =>
      pad({
        status: "'pending'",
        run_at: "now() - interval '1 h'",
        hold: "'order'::job_hold",
        order_key: "'o' || n % 2",
        order_seq: '1000000 + n',
      }),
  ],
  ['held jobs, counted', async () => void (await stage.sql.query('ANALYZE jobs'))],
  [
    'many running jobs where few were counted',
    () =>
      pad(
        {
          status: "'running'",
          run_at: 'now()',
          started_at: 'now()',
          runner_id: "'many'",
          lease_token: 'gen_random_uuid()',
          lease_ms: '1000',
          lease_expires_at: "now() + interval '1 day'",
          deadline_at: "now() + interval '1 day'",
        },
        5000,
      ),
  ],
  ['no running jobs any more', async () => void (await stage.sql.query("DELETE FROM jobs WHERE runner_id = 'many'"))],
  [
    'a backlog in turn, of one user',
    () =>
      pad({
        status: "'pending'",
        run_at: "now() - interval '1 h'",
        position: "now() - interval '1 h' + n * interval '1 us'",
        user_id: "'u1'",
      }),
  ],
  ['a backlog in turn, counted', async () => void (await stage.sql.query('ANALYZE jobs'))],
];

const starts = async (queue: string): Promise<store.LaneStart[]> =>
  (
    await stage.sql.query<{ id: number; queue: string; priority: number }>(
      'SELECT id, queue, priority FROM lanes WHERE queue = $1',
      [queue],
    )
  ).map((lane) => ({
    laneId: lane.id,
    queue: lane.queue,
    priority: lane.priority,
    fromPosition: null,
    fromId: null,
    dueForMs: 0,
  }));
const insertion = (laneId: number, more: Partial<store.InsertJob>): store.InsertJob => ({
  id: randomUUID(),
  type: 'work',
  queue: QUEUE,
  priority: 0,
  laneId,
  arguments: {},
  timeoutMs: 1000,
  maxAttempts: 1,
  orderBlocks: false,
  tags: [],
  ...more,
});
const OFFERED = randomUUID();
const slots = Array.from({ length: 5 }, () => ({ runnerId: 'r', claimId: 'c', leaseMs: 30_000 }));
const laneOf = async (queue: string) => (await starts(queue))[0]?.laneId ?? 0;
const tokens = () => running.slice(0, 5).map(({ id: jobId, leaseToken }) => ({ jobId, leaseToken }));

/** Each with the most rows of `jobs` that it may touch: a small number for each job that it is about. */
const STATEMENTS: [string, number, (db: Parameters<Parameters<Explainer['cost']>[0]>[0]) => Promise<unknown>][] = [
  ['insert of a job of nobody', 5, async (db) => store.insert(db, [insertion(await laneOf(QUEUE), {})], [])],
  [
    'insert of a user’s job',
    20,
    async (db) => store.insert(db, [insertion(await laneOf(QUEUE), { userId: 'u1' })], []),
  ],
  [
    'insert with a key',
    120,
    async (db) => store.insert(db, [insertion(await laneOf(LIMITED), { queue: LIMITED, concurrencyKey: 'k1' })], []),
  ],
  [
    'insert with an order',
    20,
    async (db) => store.insert(db, [insertion(await laneOf(QUEUE), { orderKey: 'o1' })], []),
  ],
  [
    'insert for a waiting claim',
    10,
    async (db) =>
      store.insert(
        db,
        [insertion(await laneOf(QUEUE), { id: OFFERED })],
        [],
        [{ jobId: OFFERED, runnerId: 'r', claimId: 'waits', leaseMs: 30_000 }],
      ),
  ],
  ['claim', 80, async (db) => store.claim(db, await starts(QUEUE), slots, false)],
  ['claim under limits', 150, async (db) => store.claim(db, await starts(LIMITED), slots, true)],
  ['claim under rates of keys', 200, async (db) => store.claim(db, await starts(RATED), slots, true)],
  [
    'insert with a key that has a rate',
    120,
    async (db) => store.insert(db, [insertion(await laneOf(RATED), { queue: RATED, concurrencyKey: 'k1' })], []),
  ],
  ['letting go of keys with a rate', 200, (db) => store.liftKeyHolds(db, [{ queue: RATED, key: 'k1' }], 1000)],
  ['looking for keys with tokens again', 5, (db) => limits.refilledKeys(db, 1000)],
  ['looking for the next key with tokens', 5, (db) => limits.nextRefillInMs(db)],
  ['removing full buckets', 20, (db) => limits.removeFullBuckets(db, 1000)],
  ['placing of due jobs', 60, (db) => store.promoteDue(db, [], 100)],
  ['heads', 30, (db) => lanes.heads(db)],
  [
    'complete',
    60,
    (db) =>
      store.complete(
        db,
        tokens().map((token) => ({ ...token, result: null, metrics: null })),
        false,
      ),
  ],
  ['extend', 60, (db) => store.extend(db, tokens())],
  [
    'fail',
    60,
    (db) =>
      store.fail(
        db,
        tokens().map((token) => ({
          ...token,
          outcome: 'failed',
          to: 'pending',
          delayMs: 0,
          error: {},
          fingerprint: null,
          metrics: null,
        })),
        false,
      ),
  ],
  ['finding of lost leases', 60, (db) => leases.lockExpiredLeases(db, 500)],
  ['letting go of held keys', 200, (db) => store.liftKeyHolds(db, [{ queue: LIMITED, key: 'k1' }], 1000)],
  [
    'letting go of held orders',
    60,
    (db) =>
      store.liftOrderHolds(db, [
        { queue: QUEUE, key: 'o0' },
        { queue: QUEUE, key: 'o1' },
      ]),
  ],
  ['looking for held keys', 40, (db) => store.heldKeys(db, 'key', { queue: '', key: '' }, 1000)],
  ['looking for held orders', 40, (db) => store.heldKeys(db, 'order', { queue: QUEUE, key: 'o0' }, 1000)],
  ['the first of an order', 20, (db) => explain.firstInOrder(db, null, QUEUE, 'o1')],
];

// What an old snapshot keeps of them shows in no count of rows.
test('a claim looks for its own former answer without walking over what runs', async () => {
  const claim = STATEMENTS.find(([name]) => name === 'claim')?.[2];
  for (const planned of PLANNED) {
    const { indexes } = await explainer.cost(claim ?? (() => Promise.reject(new Error('no claim'))), planned);
    expect(indexes).toContain('jobs_running_idx');
    expect(indexes).not.toContain('jobs_running_queue_idx');
  }
});

test('nothing walks', async () => {
  const walked: string[] = [];
  const look = async (padding: string): Promise<void> => {
    for (const [name, most, run] of STATEMENTS) {
      if (name === 'finding of lost leases' && padding.startsWith('many running')) continue;
      for (const planned of PLANNED) {
        const cost = await explainer.cost(run, planned, ['jobs', 'key_buckets']);
        if (cost.seqScans > 0 || cost.rows > most)
          walked.push(`${name}, ${padding}, ${planned} plan: ${JSON.stringify(cost)}`);
      }
    }
  };
  await look('nothing else');
  for (const [padding, add] of PADDINGS) {
    await add();
    await look(padding);
  }
  expect(walked).toEqual([]);
}, 120_000);

test('how many are before the first in line is told without walking over those behind it', async () => {
  const first = await stage.sql.one<{ id: string; queue: string; type: string; priority: number; position: Date }>(
    "SELECT id, queue, type, priority, position FROM jobs WHERE queue = $1 AND status = 'pending' AND position IS NOT NULL ORDER BY position, id LIMIT 1",
    [QUEUE],
  );
  expect((await explainer.cost((db) => explain.countAhead(db, first))).rows).toBeLessThan(20);
});
