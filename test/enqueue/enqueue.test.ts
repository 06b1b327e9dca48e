import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { CreatedJob, Job } from '@baton/runner-sdk/protocol';
import { Client } from 'pg';
import { FIELDS } from '../../coordinator/store/jobs';
import { startCoordinator } from '../support/coordinator';
import { eventually } from '../support/eventually';
import { uniqueType } from '../support/factory';
import type { Session } from '../support/sql';

// The SQL function `enqueue`, called as an application does: in transactions of its own, past the coordinator.

let coordinator: Awaited<ReturnType<typeof startCoordinator>>;
let other: Session;
const open: Session[] = [];
beforeAll(async () => {
  coordinator = await startCoordinator({
    maxPayloadBytes: 1000,
    jobDefaults: {
      priority: 3,
      maxAttempts: 4,
      timeoutMs: 5000,
      retry: { strategy: 'fixed', baseMs: 1, maxMs: 2, jitter: 0 },
    },
  });
});
beforeEach(async () => {
  open.push((other = await coordinator.sql.session()));
});
afterEach(async () => {
  for (const session of open.splice(0)) await session.end();
});
afterAll(() => coordinator.stop());

interface Enqueued {
  id: string;
  status: string;
  outcome: string;
}

interface Refused {
  code: string;
  message: string;
  detail: string;
}

async function enqueue(on: Session, type: string, options: object = {}, args: unknown = {}): Promise<Enqueued> {
  const text = 'SELECT id::text, status, outcome FROM baton.enqueue($1, $2, $3)';
  const [row] = await on.query<Enqueued>({ text, values: [type, JSON.stringify(args), JSON.stringify(options)] });
  if (row === undefined) throw new Error('enqueue returned nothing');
  return row;
}

/** The code of the refusal, which the SQLSTATE, the message and the detail must agree on. */
async function refusal(work: Promise<unknown>): Promise<string> {
  const error = await work.then(
    () => undefined,
    (reason: unknown) => reason as Refused,
  );
  expect(error?.code).toBe('BATON');
  const told = JSON.parse(error?.detail ?? '') as { code: string; detail: string };
  expect(error?.message).toBe(`${told.code}: ${told.detail}`);
  return told.code;
}

const status = async (id: string) => (await coordinator.api.get<Job>(`/jobs/${id}`)).status;
const claim = (type: string, more: object = {}) => coordinator.api.claim({ runnerId: 'r', types: [type], ...more });

describe('in a transaction', () => {
  test('a job is there when it commits, and a claim that waits gets it', async () => {
    const type = uniqueType();
    const waiting = claim(type, { waitMs: 50_000 });
    await other.begin();
    const { id, outcome } = await enqueue(other, type, {}, { mail: 1 });
    expect([outcome, await status(id), await claim(type)]).toEqual(['created', 404, []]);
    await other.commit();
    expect(await waiting).toEqual([expect.objectContaining({ id, arguments: { mail: 1 } })]);
  });

  test('a job never was when it is rolled back', async () => {
    const type = uniqueType();
    await other.begin();
    const { id } = await enqueue(other, type, { idempotencyKey: type, uniqueKey: 'k' });
    await other.rollback();
    expect([await status(id), await claim(type)]).toEqual([404, []]);
    // Nor are its keys taken.
    expect((await enqueue(other, type, { idempotencyKey: type, uniqueKey: 'k', priority: 1 })).outcome).toBe('created');
  });

  test('coordinators are woken by the commit, once for all jobs, and not by a rollback', async () => {
    const listener = new Client({ connectionString: coordinator.sql.url });
    await listener.connect();
    const heard: unknown[] = [];
    listener.on('notification', ({ payload = '' }) => {
      const message = JSON.parse(payload) as { from: string };
      if (message.from === 'enqueue') heard.push(message);
    });
    await listener.query('LISTEN "baton:baton"');
    const type = uniqueType();
    await other.begin();
    await enqueue(other, type);
    await other.rollback();
    await other.begin();
    for (let nth = 0; nth < 3; nth += 1) await enqueue(other, type);
    await enqueue(other, type, { delayMs: 3_600_000 });
    await enqueue(other, type, { orderKey: 'o' });
    await other.commit();
    await eventually(() => heard.length >= 2);
    expect(heard).toEqual([
      { from: 'enqueue', due: 0 },
      { from: 'enqueue', orders: [{ queue: 'default', key: 'o' }] },
    ]);
    await listener.end();
  });

  test('jobs run in the order of the calls', async () => {
    const type = uniqueType();
    await other.begin();
    const ids: string[] = [];
    for (let nth = 0; nth < 20; nth += 1) ids.push((await enqueue(other, type)).id);
    await other.commit();
    const claimed: string[] = [];
    while (claimed.length < 20) claimed.push(...(await claim(type, { max: 20, waitMs: 20_000 })).map(({ id }) => id));
    expect(claimed).toEqual(ids);
  });
});

describe('a job', () => {
  const FULL = {
    queue: 'mail',
    priority: 'low',
    runAt: '2098-05-04T03:02:01.500+02:00',
    timeoutMs: 1000,
    maxAttempts: 2,
    retry: { strategy: 'exponential', baseMs: 5, factor: 1.5 },
    uniqueForMs: 60_000,
    concurrencyKey: 'c"1',
    orderKey: 'o"1',
    orderOnFailure: 'skip',
    expiresAt: '2099-01-01T01:00:00Z',
    requires: { region: 'eu', memory: '>=40', gpu: true, cores: 4 },
    prefers: { zone: 'ä"' },
    tags: ['b', 'a'],
    metadata: { trace: { deep: [1.5, null] } },
    userId: 'ann',
  };

  test.each<[string, object, unknown]>([
    ['that leaves all out', {}, {}],
    ['with all that it can be given', FULL, { a: [1, null, 'ä😀'], b: 0.1 }],
  ])('%s is as POST /jobs makes it', async (_name, options, args) => {
    const [one, two] = [uniqueType(), uniqueType()];
    const { id } = await enqueue(other, one, { ...options, uniqueKey: 'k' }, args);
    const made = await coordinator.api.stored(id);
    const twin = await coordinator.api.create({ ...options, uniqueKey: 'k', type: two, arguments: args } as never);
    const told = ({ id: _id, type: _type, createdAt: _c, updatedAt: _u, runAt, ...rest }: Partial<CreatedJob>) => ({
      ...rest,
      estimate: null,
      notes: undefined,
      ...('runAt' in options ? { runAt } : {}),
    });
    expect(told(made)).toEqual(told(twin));
    const rows = await coordinator.sql.query(
      `SELECT order_blocks, order_seq IS NOT NULL AS ordered, retry::jsonb, requires::jsonb, unique_until - created_at AS held, trace, callback
       FROM jobs WHERE id = ANY ($1::uuid[])`,
      [[id, twin.id]],
    );
    expect(rows[0]).toEqual(rows[1]);
  });

  test('has the defaults of its queue before those of the coordinator', async () => {
    await coordinator.api.call('put', '/queues/own', { json: { defaults: { priority: -5, maxAttempts: 9 } } });
    const { id } = await enqueue(other, uniqueType(), { queue: 'own' });
    expect(await coordinator.api.job(id)).toMatchObject({
      priority: -5,
      maxAttempts: 9,
      timeoutMs: 5000,
      retry: { strategy: 'fixed', baseMs: 1, maxMs: 2, jitter: 0 },
    });
  });

  test('carries its trace to the runner', async () => {
    const type = uniqueType();
    const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
    await enqueue(other, type, { traceparent, tracestate: 'a=b' });
    expect(await claim(type, { waitMs: 20_000 })).toEqual([
      expect.objectContaining({ traceparent, tracestate: 'a=b' }),
    ]);
  });

  test('is told to those who watch', async () => {
    const type = uniqueType();
    await coordinator.sql.query(
      "INSERT INTO event_watches (scope, since, until_at) VALUES ('type:' || $1 || ' job.created', 0, now() + interval '1 hour')",
      [type],
    );
    const { id } = await enqueue(other, type, { userId: 'u' });
    expect(
      await coordinator.sql.query('SELECT name, queue, user_id, status, attempt FROM events WHERE job_id = $1', [id]),
    ).toEqual([{ name: 'job.created', queue: 'default', user_id: 'u', status: 'pending', attempt: 0 }]);
  });

  test('that needs labels gets a lane of its own, which further ones find', async () => {
    const type = uniqueType();
    const options = { requires: { gpu: true, cores: '>=2' } };
    const first = await enqueue(other, type, options);
    expect(await claim(type)).toEqual([]);
    const labels = { gpu: true, cores: 4 };
    expect(await claim(type, { labels, waitMs: 20_000 })).toEqual([expect.objectContaining({ id: first.id })]);
    const second = await enqueue(other, type, options);
    expect(await coordinator.sql.count("lanes WHERE type = $1 AND made_by = 'sql'", [type])).toBe(1);
    expect(await coordinator.sql.count('jobs j JOIN lanes l ON l.id = j.lane_id WHERE j.type = $1', [type])).toBe(2);
    expect(await claim(type, { labels, waitMs: 20_000 })).toEqual([expect.objectContaining({ id: second.id })]);
  });

  test('of an order waits for those before it', async () => {
    const type = uniqueType();
    await other.begin();
    const [one, two] = [await enqueue(other, type, { orderKey: type }), await enqueue(other, type, { orderKey: type })];
    await other.commit();
    const three = await coordinator.api.create({ type, orderKey: type });
    for (const { id } of [one, two, three]) {
      const claimed = await claim(type, { max: 3, waitMs: 20_000 });
      expect(claimed.map((job) => job.id)).toEqual([id]);
      for (const job of claimed) await coordinator.api.complete(job);
    }
  });

  test('of a limited key waits for its turn', async () => {
    const type = uniqueType();
    await coordinator.api.call('put', '/queues/keyed', { json: { concurrencyPerKey: 1 } });
    const options = { queue: 'keyed', concurrencyKey: 'c' };
    await other.begin();
    await enqueue(other, type, options);
    await enqueue(other, type, options);
    await other.commit();
    const first = await claim(type, { max: 2, waitMs: 20_000 });
    expect(first).toHaveLength(1);
    expect(await claim(type, { max: 2 })).toEqual([]);
    for (const job of first) await coordinator.api.complete(job);
    expect(await claim(type, { max: 2, waitMs: 20_000 })).toHaveLength(1);
  });
});

describe('keys', () => {
  test('the same idempotency key and job bring the first job; another job is refused', async () => {
    const type = uniqueType();
    const key = { idempotencyKey: `key-${type}` };
    const first = await enqueue(other, type, key, { a: 1, b: 2 });
    expect(await enqueue(other, type, key, { b: 2, a: 1 })).toEqual({ ...first, outcome: 'repeated' });
    expect(await refusal(enqueue(other, type, { ...key, priority: 1 }, { a: 1, b: 2 }))).toBe('idempotency_conflict');
    expect(await coordinator.sql.count('jobs WHERE type = $1', [type])).toBe(1);
    // A key of HTTP is another one, so that no call ever waits for an application's transaction.
    const { status: made } = await coordinator.api.post(
      '/jobs',
      { type },
      { headers: { 'idempotency-key': `key-${type}` } },
    );
    expect(made).toBe(201);
  });

  test('a key that another transaction uses is waited for', async () => {
    const type = uniqueType();
    const options = { idempotencyKey: `key-${type}` };
    const second = await coordinator.sql.session();
    open.push(second);
    await other.begin();
    const first = await enqueue(other, type, options);
    const waits = enqueue(second, type, options);
    await other.hasWaiter();
    await other.commit();
    expect(await waits).toEqual({ ...first, outcome: 'repeated' });
  });

  test('a unique key that is held brings the job that holds it, whoever created it', async () => {
    const type = uniqueType();
    const byHttp = await coordinator.api.create({ type, uniqueKey: 'a' });
    expect(await enqueue(other, type, { uniqueKey: 'a' })).toEqual({
      id: byHttp.id,
      status: 'pending',
      outcome: 'deduplicated',
    });
    const bySql = await enqueue(other, type, { uniqueKey: 'b', idempotencyKey: `i-${type}` });
    const { status: answered, body } = await coordinator.api.post<Job>('/jobs', { type, uniqueKey: 'b' });
    expect([answered, body.id]).toEqual([200, bySql.id]);
    // A user's keys are the user's own.
    expect((await enqueue(other, type, { uniqueKey: 'a', userId: 'u' })).outcome).toBe('created');
  });

  test('an idempotency key stands for the job that held the unique key', async () => {
    const type = uniqueType();
    const holder = await enqueue(other, type, { uniqueKey: 'a' });
    const options = { uniqueKey: 'a', idempotencyKey: `i-${type}` };
    expect((await enqueue(other, type, options)).outcome).toBe('deduplicated');
    expect(await enqueue(other, type, options)).toEqual({ ...holder, outcome: 'repeated' });
  });

  test('a completed job holds its unique key for as long as it was given', async () => {
    const type = uniqueType();
    const options = { uniqueKey: 'a', uniqueForMs: 3_600_000 };
    const { id } = await enqueue(other, type, options);
    for (const job of await claim(type, { waitMs: 20_000 })) await coordinator.api.complete(job);
    expect(await enqueue(other, type, options)).toEqual({ id, status: 'completed', outcome: 'deduplicated' });
    await coordinator.sql.query('UPDATE jobs SET unique_until = now() WHERE id = $1', [id]);
    expect((await enqueue(other, type, options)).outcome).toBe('created');
  });

  test('a waiting job takes over what a newer one brings', async () => {
    const type = uniqueType();
    const { id } = await enqueue(other, type, { uniqueKey: 'a', delayMs: 3_600_000 }, { version: 1 });
    const replaced = await enqueue(
      other,
      type,
      { uniqueKey: 'a', onConflict: 'replace', metadata: { m: 1 } },
      { version: 2 },
    );
    expect(replaced).toEqual({ id, status: 'pending', outcome: 'deduplicated' });
    expect(await claim(type, { waitMs: 20_000 })).toEqual([
      expect.objectContaining({ id, arguments: { version: 2 }, metadata: { m: 1 } }),
    ]);
  });

  test.each([
    ['commits', 'deduplicated'],
    ['rolls back', 'created'],
  ])('a transaction that waits for another’s unique key, which then %s, is %s', async (end, outcome) => {
    const type = uniqueType();
    const second = await coordinator.sql.session();
    open.push(second);
    await other.begin();
    await enqueue(other, type, { uniqueKey: 'k' });
    const waits = enqueue(second, type, { uniqueKey: 'k' });
    await other.hasWaiter();
    await (end === 'commits' ? other.commit() : other.rollback());
    expect((await waits).outcome).toBe(outcome);
  });

  test('a create by HTTP waits for a transaction that has its unique key, and gets its job', async () => {
    const type = uniqueType();
    await other.begin();
    const { id } = await enqueue(other, type, { uniqueKey: 'k' });
    const waits = coordinator.api.post<Job>('/jobs', { type, uniqueKey: 'k' });
    await other.hasWaiter();
    await other.commit();
    const { status: answered, body } = await waits;
    expect([answered, body.id]).toEqual([200, id]);
  });
});

describe('limits', () => {
  test('a paused queue takes jobs, and gives none', async () => {
    const type = uniqueType();
    await coordinator.api.post('/queues/paused/pause', {});
    const { id } = await enqueue(other, type, { queue: 'paused' });
    expect(await claim(type)).toEqual([]);
    await coordinator.api.post('/queues/paused/resume', {});
    expect(await claim(type, { waitMs: 20_000 })).toEqual([expect.objectContaining({ id })]);
  });

  test('a full queue refuses, those of the same transaction counted', async () => {
    const type = uniqueType();
    await coordinator.api.call('put', '/queues/full', { json: { maxWaiting: 2 } });
    await other.begin();
    await enqueue(other, type, { queue: 'full' });
    await enqueue(other, type, { queue: 'full', orderKey: 'o' });
    expect(await refusal(enqueue(other, type, { queue: 'full' }))).toBe('queue_full');
    await other.rollback();
    await enqueue(other, type, { queue: 'full', delayMs: 3_600_000 });
    await coordinator.api.create({ type, queue: 'full' });
    expect(await refusal(enqueue(other, type, { queue: 'full' }))).toBe('queue_full');
  });

  test('a user’s rate is the same by SQL and by HTTP', async () => {
    const type = uniqueType();
    await coordinator.api.call('put', '/queues/rated', { json: { userRateLimit: { max: 2, perMs: 3_600_000 } } });
    const options = { queue: 'rated', userId: 'u' };
    await enqueue(other, type, options);
    await coordinator.api.create({ type, ...options });
    expect(await refusal(enqueue(other, type, options))).toBe('rate_limited');
    expect(await coordinator.api.refusal('post', '/jobs', { type, ...options })).toEqual([429, 'rate_limited']);
    expect((await enqueue(other, type, { ...options, userId: 'v' })).outcome).toBe('created');
  });

  test('the coordinator’s limit of payloads holds', async () => {
    expect(await refusal(enqueue(other, uniqueType(), {}, 'x'.repeat(999)))).toBe('payload_too_large');
    expect(await refusal(enqueue(other, uniqueType(), { metadata: { m: 'x'.repeat(1000) } }))).toBe(
      'payload_too_large',
    );
    expect((await enqueue(other, uniqueType(), {}, 'x'.repeat(998))).outcome).toBe('created');
  });

  test('what SQL creates may differ in ten thousand ways, and no more', async () => {
    const type = uniqueType();
    await coordinator.sql.query(
      "INSERT INTO lanes (queue, type, priority, key, made_by, made_at) SELECT 'q', $1, 0, $1 || n, 'sql', now() FROM generate_series(1, 10000) n",
      [type],
    );
    expect(await refusal(enqueue(other, type))).toBe('rate_limited');
    await coordinator.sql.query('DELETE FROM lanes WHERE type = $1', [type]);
    expect((await enqueue(other, type)).outcome).toBe('created');
  });
});

describe('the view job_details', () => {
  const details = (id: string) =>
    coordinator.sql.one<Record<string, unknown>>('SELECT * FROM baton.job_details WHERE id = $1', [id]);

  test('has all of a job but what nobody may read', async () => {
    const columns = await coordinator.sql.query<{ name: string }>(
      "SELECT attname AS name FROM pg_attribute WHERE attrelid = 'baton.job_details'::regclass AND attnum > 0",
    );
    const secret = ['lease_token', 'claim_hash', 'callback', 'lane_id'];
    const shown = [...FIELDS.values()].map(({ column }) => column).filter((column) => !secret.includes(column));
    expect(columns.map(({ name }) => name)).toEqual(expect.arrayContaining(shown));
    expect(columns.map(({ name }) => name)).not.toEqual(
      expect.arrayContaining([expect.stringMatching(/token|hash|callback/)]),
    );
  });

  test('tells what a job waits for, and for how long', async () => {
    const type = uniqueType();
    const [now, later, first, second] = [
      await enqueue(other, type, { tags: ['t'] }),
      await enqueue(other, type, { delayMs: 3_600_000 }),
      await enqueue(other, type, { orderKey: type, queue: 'shut' }),
      await enqueue(other, type, { orderKey: type, queue: 'shut' }),
    ];
    await coordinator.api.post('/queues/shut/pause', {});
    await eventually(
      () => coordinator.sql.count('baton.job_details WHERE type = $1 AND lane IS NOT NULL', [type]),
      (routed) => routed >= 2,
    );
    const waits = async ({ id }: Enqueued) => (await details(id))['waits_for'];
    expect(await waits(now)).toBe('a runner');
    expect(await waits(later)).toBe('its time');
    expect(await waits(first)).toBe('its queue, which is paused');
    expect(await waits(second)).toBe('an earlier job of its order key');
    expect(await details(now.id)).toMatchObject({
      tags: ['t'],
      lane: JSON.stringify(['default', type, 3, null]),
      due_in: null,
    });
    expect((await details(later.id))['due_in']).not.toBeNull();
  });

  test('tells how its attempts went', async () => {
    const type = uniqueType();
    const { id } = await enqueue(other, type, { queue: 'tried' });
    for (const job of await claim(type, { waitMs: 20_000 }))
      await coordinator.api.complete(job, { outcome: 'failed', error: { message: 'broken' } });
    await claim(type, { waitMs: 20_000 });
    expect(await details(id)).toMatchObject({
      status: 'running',
      waits_for: null,
      attempt: 2,
      runner_id: 'r',
      kept_attempts: [expect.objectContaining({ attempt: 1, runner: 'r', outcome: 'failed' })],
    });
    expect((await details(id))['lease_left']).not.toBeNull();
  });
});

describe('a role of an application', () => {
  const role = `shop_${randomBytes(4).toString('hex')}`;
  const asRole = (options?: string) => {
    const url = new URL(coordinator.sql.url);
    url.username = role;
    url.password = 'secret';
    return new Client({ connectionString: url.href, ...(options === undefined ? {} : { options }) });
  };
  beforeAll(async () => {
    await coordinator.sql.query(`CREATE ROLE ${role} LOGIN PASSWORD 'secret'`);
    await coordinator.sql.query(`GRANT USAGE ON SCHEMA baton TO ${role}`);
    await coordinator.sql.query(`GRANT CREATE ON SCHEMA public TO ${role}`);
  });
  afterAll(async () => {
    await coordinator.sql.query(`DROP OWNED BY ${role}; DROP ROLE ${role}`);
  });

  test('creates jobs once it was granted the function, and can do nothing else', async () => {
    const client = asRole();
    await client.connect();
    const type = uniqueType();
    const create = () => client.query('SELECT id FROM baton.enqueue($1)', [type]);
    await expect(create()).rejects.toThrow(/permission denied for function enqueue/);
    const page = readFileSync(join(__dirname, '..', '..', 'docs', 'database-roles.md'), 'utf8');
    const [, grants = ''] = /```sql enqueue\n(.*?)```/s.exec(page) ?? [];
    await coordinator.sql.query(grants.replaceAll('shop', role));
    expect((await create()).rows).toHaveLength(1);
    for (const statement of [
      'SELECT id FROM baton.jobs',
      "INSERT INTO baton.lanes (queue, type, priority, key, made_by, made_at) VALUES ('q', 't', 0, 'k', '', now())",
      "SELECT baton.enqueue_notify('{}')",
      'SELECT baton.rebuild_job_details()',
      'SELECT * FROM baton.job_details',
      'SELECT * FROM baton.coordinator_settings',
    ])
      await expect(client.query(statement)).rejects.toThrow(/permission denied/);
    await client.end();
  });

  test('cannot put its own objects in the way of the function’s', async () => {
    const client = asRole('-c search_path=public,baton');
    await client.connect();
    await client.query(`
      CREATE FUNCTION public.enqueue_name(path text, value text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'taken over by %', current_user; END $$;
      CREATE TEMPORARY TABLE jobs (id uuid); CREATE TEMPORARY TABLE lanes (id int, key text, made_by text)`);
    const type = uniqueType();
    await client.query('SELECT id FROM baton.enqueue($1)', [type]);
    expect(await coordinator.sql.count('baton.jobs WHERE type = $1', [type])).toBe(1);
    await client.end();
  });
});
