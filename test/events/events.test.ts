import { notice } from '@baton/runner-sdk/protocol';
import { RecentScopes } from '../../coordinator/domain/events/recent-scopes';
import { prune, tell } from '../../coordinator/store/events';
import { type Cluster, startCluster, type TestCoordinator } from '../support/coordinator';
import { TestEventSource } from '../support/event-source';
import { eventually } from '../support/eventually';
import { jobIn, uniqueType } from '../support/factory';

let cluster: Cluster;
let one: TestCoordinator;
let two: TestCoordinator;
const opened: TestEventSource[] = [];

beforeAll(async () => {
  cluster = await startCluster(2, { access: { eventStreamsPerKey: 2000 } });
  [one, two] = cluster.coordinators as [TestCoordinator, TestCoordinator];
});
afterEach(() => {
  for (const source of opened.splice(0)) source.close();
});
afterAll(() => cluster.stop());

async function listen(
  path: string,
  { at = one, key = cluster.adminKey, lastEventId }: { at?: TestCoordinator; key?: string; lastEventId?: string } = {},
): Promise<TestEventSource> {
  const source = await TestEventSource.open(`${at.url}${path}`, key, lastEventId);
  opened.push(source);
  return source;
}

it('tells the life of a job in order, whichever coordinator it is lived on', async () => {
  const type = uniqueType();
  const source = await listen(`/events?type=${type}`, { at: two });
  const job = await one.api.create({ type, retry: { strategy: 'fixed', baseMs: 0 } });
  const first = await two.api.claimOne({ runnerId: 'r1', types: [type] });
  await two.api.post(`/jobs/${job.id}/heartbeat`, {
    leaseToken: first.leaseToken,
    progress: { percent: 40, message: 'half' },
    logs: [{ level: 'info', message: 'working' }],
  });
  await one.api.complete(first, { outcome: 'failed', error: { message: 'once', code: 'E1' } });
  const second = await one.api.claimOne({ runnerId: 'r2', types: [type], waitMs: 5000 });
  await two.api.post(`/jobs/${job.id}/release`, { leaseToken: second.leaseToken });
  await one.api.complete(await two.api.claimOne({ runnerId: 'r1', types: [type], waitMs: 5000 }));
  await eventually(() => source.namesOf(job.id).includes('job.completed'));
  expect(source.namesOf(job.id)).toEqual([
    'job.created',
    'job.claimed',
    'job.progress',
    'job.log',
    'job.retrying',
    'job.claimed',
    'job.released',
    'job.claimed',
    'job.completed',
  ]);
  const byName = new Map(source.events.map((event) => [event.name, event]));
  expect(byName.get('job.progress')).toMatchObject({
    status: 'running',
    runnerId: 'r1',
    details: { percent: 40, message: 'half' },
  });
  expect(byName.get('job.log')?.details).toMatchObject({ level: 'info', message: 'working' });
  expect(byName.get('job.retrying')).toMatchObject({ status: 'pending', details: { code: 'E1', outcome: 'failed' } });
  expect(byName.get('job.completed')).toMatchObject({ status: 'completed', type, queue: 'default', attempt: 3 });
});

it('tells failure, cancellation and retry by hand', async () => {
  const type = uniqueType();
  const source = await listen(`/events?type=${type}`);
  const { job: failed } = await jobIn('failed', { ...one, sql: cluster.sql }, { type });
  await one.api.post(`/jobs/${failed.id}/retry`);
  await two.api.post(`/jobs/${failed.id}/cancel`, { reason: 'enough' });
  await eventually(() => source.namesOf(failed.id).includes('job.cancelled'));
  expect(source.namesOf(failed.id)).toEqual([
    'job.created',
    'job.claimed',
    'job.failed',
    'job.requeued',
    'job.cancelled',
  ]);
  expect(source.events.at(-1)?.details).toEqual({ reason: 'enough' });
});

it('goes on after Last-Event-ID, on another coordinator, and misses and repeats nothing', async () => {
  const type = uniqueType();
  const source = await listen(`/events?type=${type}`);
  const before = await one.api.create({ type });
  await eventually(() => source.namesOf(before.id).length === 1);
  source.close();
  const between = await Promise.all(
    Array.from({ length: 30 }, (_, index) => (index % 2 === 0 ? one : two).api.create({ type })),
  );
  const resumed = await listen(`/events?type=${type}`, { at: two, lastEventId: source.lastId });
  const after = await two.api.create({ type });
  await eventually(() => resumed.namesOf(after.id).length > 0);
  expect(resumed.frames[0]?.event).toBe('ready');
  expect(resumed.events.map(({ jobId }) => jobId).sort()).toEqual([...between, after].map(({ id }) => id).sort());
});

it('goes on from the moment it was ready, though nothing had happened yet', async () => {
  const type = uniqueType();
  const source = await listen(`/events?type=${type}`);
  source.close();
  const job = await one.api.create({ type });
  const resumed = await listen(`/events?type=${type}`, { lastEventId: source.lastId });
  await eventually(() => resumed.namesOf(job.id).length === 1);
});

it('is not held up by transactions that began earlier and end later, and jumps over none of them', async () => {
  const type = uniqueType();
  const source = await listen(`/events?type=${type}`);
  const session = await cluster.sql.session();
  await session.begin();
  const slow = await session.query<{ id: string }>({
    text: `INSERT INTO events (at, name, job_id, type, queue, status, attempt)
      VALUES (now(), 'job.created', gen_random_uuid(), $1, 'default', 'pending', 0) RETURNING job_id AS id`,
    values: [type],
  });
  const fast = await one.api.create({ type });
  await eventually(() => source.events.length === 1);
  await session.commit();
  await session.end();
  await eventually(() => source.events.length === 2);
  expect(source.events.map(({ jobId }) => jobId)).toEqual([fast.id, slow[0]?.id]);
});

it('says so when it cannot go on without a gap', async () => {
  const source = await listen(`/events?type=${uniqueType()}`, { lastEventId: '0' });
  const ahead = await listen(`/events?type=${uniqueType()}`, { lastEventId: '999999999' });
  expect(ahead.frames[0]?.event).toBe('gap');
  expect(source.frames[0]?.event).toBe('gap');
  expect(await one.api.refusal('get', '/events?lastEventId=rubbish')).toEqual([400, 'validation_failed']);
});

it('says so too when what was missed is kept no longer, though others went on listening', async () => {
  const [type, quietType] = [uniqueType(), uniqueType()];
  const [kept, left, quiet] = await Promise.all([
    listen(`/events?type=${type}`),
    listen(`/events?type=${type}`),
    listen(`/events?type=${quietType}`),
  ]);
  left.close();
  quiet.close();
  const { id } = await one.api.create({ type });
  await eventually(() => kept.namesOf(id).length === 1);
  await cluster.sql.query("UPDATE events SET at = now() - interval '2 hours' WHERE type = $1", [type]);
  expect(await prune(one.app.context.db, { keepMs: 3_600_000, mostMs: 3_600_000 }, 5000)).toBe(1);
  const back = await listen(`/events?type=${type}`, { lastEventId: left.lastId });
  const still = await listen(`/events?type=${type}`, { lastEventId: kept.lastId });
  const unharmed = await listen(`/events?type=${quietType}`, { lastEventId: quiet.lastId });
  expect([back, still, unharmed].map(({ frames }) => frames[0]?.event)).toEqual(['gap', 'ready', 'ready']);
});

it('tells live listeners of a gap after its coordinator was without the database for longer than scopes are watched', async () => {
  const [type, busyType] = [uniqueType(), uniqueType()];
  const [lapsed, pruned, whole] = await Promise.all([
    listen(`/events?type=${type}`),
    listen(`/events?type=${busyType}`),
    listen(`/events?type=${uniqueType()}`),
  ]);
  await eventually(() => one.app.context.stream.listeners === 3);
  await cluster.sql.query("UPDATE event_watches SET until_at = now() - interval '1 s' WHERE scope = $1", [
    `type:${type}`,
  ]);
  // Another coordinator went on watching it, but what was written down is kept no longer.
  await cluster.sql.query('UPDATE event_watches SET since = since + 1000 WHERE scope = $1', [`type:${busyType}`]);
  Reflect.set(one.app.context.stream, 'renewedAt', -Infinity);
  await eventually(() => [lapsed, pruned].every(({ frames }) => frames.at(-1)?.event === 'gap'));
  const { id } = await one.api.create({ type });
  await eventually(() => lapsed.namesOf(id).length === 1);
  expect(whole.frames.map(({ event }) => event)).toEqual(['ready']);
  await cluster.sql.query('UPDATE event_watches SET since = since - 1000 WHERE scope = $1', [`type:${busyType}`]);
});

it('writes down for an hour only so many scopes that one key left behind, and for some minutes the others', async () => {
  const { stream } = one.app.context;
  Reflect.set(stream, 'recent', new RecentScopes(2));
  const types = Array.from({ length: 4 }, () => uniqueType());
  const [first = '', , , last = ''] = types;
  const secondsLeft = async (type: string) =>
    (
      await cluster.sql.one<{ left: number }>(
        'SELECT extract(epoch FROM until_at - now())::float8 AS left FROM event_watches WHERE scope = $1',
        [`type:${type}`],
      )
    ).left;
  const kept = await listen(`/events?type=${first}`);
  for (const type of types) await stream.open({ type }, null, 'wanderer');
  await stream.round();
  // The first has a listener still.
  expect(await secondsLeft(first)).toBeGreaterThan(3500);
  expect(await secondsLeft(types[1] ?? '')).toBeLessThanOrEqual(120);
  expect(await secondsLeft(last)).toBeGreaterThan(3500);
  kept.close();
  await stream.open({ type: types[1] }, null, 'wanderer');
  await stream.round();
  expect(await secondsLeft(types[1] ?? '')).toBeGreaterThan(3500);
  expect(await secondsLeft(types[2] ?? '')).toBeLessThanOrEqual(120);
});

it('writes nothing down while nobody listens', async () => {
  const other = await startCluster(1);
  const { api } = other.coordinators[0] as TestCoordinator;
  const type = uniqueType();
  await api.create({ type });
  await api.complete(await api.claimOne({ runnerId: 'r', types: [type] }));
  expect(await other.sql.count('events')).toBe(0);
  await other.stop();
});

it('tells a user only of its own jobs', async () => {
  const type = uniqueType();
  const ann = await one.api.makeKey({ name: 'ann', role: 'user', userId: 'ann' });
  const source = await listen(`/events?type=${type}`, { key: ann });
  const [theirs, mine] = [await one.api.create({ type, userId: 'bob' }), await one.api.create({ type, userId: 'ann' })];
  const anonymous = await one.api.create({ type });
  const last = await one.api.create({ type, userId: 'ann' });
  await eventually(() => source.namesOf(last.id).length === 1);
  expect(source.events.map(({ jobId }) => jobId)).toEqual([mine.id, last.id]);
  const asAnn = one.api.as(ann);
  expect(await asAnn.refusal('get', `/jobs/${theirs.id}/events`)).toEqual([404, 'not_found']);
  expect(await asAnn.refusal('get', `/jobs/${anonymous.id}/events`)).toEqual([404, 'not_found']);
  expect(await asAnn.refusal('get', '/events?userId=bob')).toEqual([403, 'forbidden']);
  expect(await one.api.as(null).refusal('get', '/events')).toEqual([401, 'unauthenticated']);
});

it('tells of one job alone', async () => {
  const type = uniqueType();
  const [job, other] = [await one.api.create({ type }), await one.api.create({ type })];
  const source = await listen(`/jobs/${job.id}/events`);
  await one.api.post(`/jobs/${other.id}/cancel`, {});
  await one.api.post(`/jobs/${job.id}/cancel`, {});
  await eventually(() => source.events.length > 0);
  expect(source.events.map(({ jobId, name }) => [jobId, name])).toEqual([[job.id, 'job.cancelled']]);
});

it('serves a thousand listeners, and lets go of one that does not read', async () => {
  const type = uniqueType();
  const sources: TestEventSource[] = [];
  // A few at a time, so that each is open long before a client would give up, however busy the machine is.
  while (sources.length < 1000)
    sources.push(
      ...(await Promise.all(
        Array.from({ length: 50 }, (_, index) => listen(`/events?type=${type}`, { at: index % 2 === 0 ? one : two })),
      )),
    );
  const lazy = await listen(`/events?type=${type}`);
  lazy.pause();
  const { id } = await one.api.create({ type });
  const claimed = await one.api.claimOne({ runnerId: 'r', types: [type], leaseMs: 600_000 });
  await eventually(() => sources.every((source) => source.namesOf(id).length === 2), Boolean, 60_000);
  for (const source of sources) source.close();
  await eventually(() => one.app.context.stream.listeners === 1, Boolean, 60_000);
  const logs = Array.from({ length: 200 }, () => ({ level: 'info', message: 'x'.repeat(8000) }));
  await eventually(async () => {
    await one.api.post(`/jobs/${id}/heartbeat`, { leaseToken: claimed.leaseToken, logs });
    return one.app.context.stream.listeners === 0;
  });
}, 300_000);

it('ends a stream whose key was revoked, and sends heartbeats to the others', async () => {
  const { body } = await one.api.post<{ id: string; key: string }>('/api-keys', { name: 'short', role: 'viewer' });
  const source = await listen('/events', { key: body.key });
  const kept = await listen('/events');
  expect((await one.api.delete(`/api-keys/${body.id}`)).status).toBe(200);
  await eventually(() => source.isClosed);
  (one.app.services.eventConnections as unknown as { beat(): void }).beat();
  await eventually(() => kept.comments > 0);
  expect(kept.isClosed).toBe(false);
});

it('tells of other things than jobs to those who hear all, and to whom they concern', async () => {
  const ann = await one.api.makeKey({ name: 'ann', role: 'user', userId: 'ann' });
  const [all, own, ofType] = await Promise.all([
    listen('/events'),
    listen('/events', { key: ann }),
    listen(`/events?type=${uniqueType()}`),
  ]);
  await tell(two.app.context.db, { name: 'alert.firing', userId: null, details: { rule: 'depth' } });
  await tell(two.app.context.db, { name: 'webhook.disabled', userId: 'ann', details: { reason: 'gone' } });
  const noticed = (source: TestEventSource) =>
    source.frames.filter(({ event }) => /^(alert|webhook)\./.test(event)).map(({ data }) => [data.name, data.details]);
  await eventually(() => noticed(all).length === 2 && noticed(own).length === 1);
  expect(noticed(all)).toEqual([
    ['alert.firing', { rule: 'depth' }],
    ['webhook.disabled', { reason: 'gone' }],
  ]);
  expect(noticed(own)).toEqual([['webhook.disabled', { reason: 'gone' }]]);
  expect([noticed(ofType), notice.safeParse(all.frames.at(-1)?.data).success]).toEqual([[], true]);
});
