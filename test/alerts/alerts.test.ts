import type { Alert, CreateAlert } from '@baton/runner-sdk/protocol';
import { evaluate } from '../../coordinator/domain/alerts/evaluate';
import { judge } from '../../coordinator/domain/alerts/judge';
import { expectStatus } from '../support/api';
import { type Cluster, startCluster, type TestCoordinator } from '../support/coordinator';
import { eventually } from '../support/eventually';
import { TestEventSource } from '../support/event-source';
import { uniqueType } from '../support/factory';

let cluster: Cluster;
let here: TestCoordinator;
let there: TestCoordinator;
let stream: TestEventSource;

beforeAll(async () => {
  cluster = await startCluster(2);
  const [first, second] = cluster.coordinators;
  if (first === undefined || second === undefined) throw new Error('two coordinators are needed');
  [here, there] = [first, second];
  await Promise.all([here, there].map(({ app }) => app.loops.alerts.stop()));
  stream = await TestEventSource.open(`${there.url}/events`, cluster.adminKey);
});
afterAll(async () => {
  stream.close();
  await cluster.stop();
});
afterEach(() => cluster.sql.query('DELETE FROM alerts'));

/** Both coordinators look at all rules, at once. */
const look = () => Promise.all([here, there, here, there].map(({ app }) => evaluate(app.context, 0)));
const make = async (wanted: Partial<CreateAlert> & Pick<CreateAlert, 'measure' | 'threshold'>) =>
  expectStatus(await here.api.post<Alert>('/alerts', { name: uniqueType('alert'), ...wanted }), 201);
const read = async ({ id }: Alert) => expectStatus(await there.api.get<Alert>(`/alerts/${id}`), 200);
const told = ({ id }: Alert) =>
  stream.frames
    .filter(({ data }) => data.details?.['alertId'] === id)
    .map(({ event, data }) => [event, data.details?.['value']]);
const logged = ({ id }: Alert) =>
  [here, there]
    .flatMap((one) => one.logged)
    .filter(({ message, meta }) => message.startsWith('alert.') && (meta as { alertId: string }).alertId === id)
    .map(({ level, message }) => [level, message]);

async function end(type: string, outcome: 'completed' | 'failed', queue = 'default'): Promise<string> {
  await here.api.create({ type, queue, maxAttempts: 1 });
  const job = await here.api.claimOne({ runnerId: 'r', types: [type] });
  await here.api.complete(job, outcome === 'completed' ? { outcome } : { outcome, error: { message: 'no' } });
  return job.id;
}

interface Case {
  wanted: Pick<CreateAlert, 'measure' | 'threshold'> & Partial<CreateAlert>;
  worsen: (type: string) => Promise<unknown>;
  mend: (type: string) => Promise<unknown>;
  /** While it is above. */
  value: unknown;
}

const CASES: [string, Case][] = [
  [
    'failure rate',
    {
      wanted: { measure: 'failureRate', threshold: 0.5 },
      worsen: async (type) => [await end(type, 'completed'), await end(type, 'failed'), await end(type, 'failed')],
      mend: async (type) => [await end(type, 'completed'), await end(type, 'completed')],
      value: expect.closeTo(2 / 3),
    },
  ],
  [
    'depth',
    {
      wanted: { measure: 'depth', threshold: 1 },
      worsen: async (type) => [
        await here.api.create({ type }),
        await here.api.create({ type }),
        await here.api.create({ type, delayMs: 3_600_000 }),
      ],
      mend: (type) => here.api.claim({ runnerId: 'r', types: [type] }),
      value: 2,
    },
  ],
  [
    'oldest age',
    {
      wanted: { measure: 'oldestAgeMs', threshold: 60_000 },
      worsen: async (type) =>
        cluster.sql.query("UPDATE jobs SET run_at = now() - interval '2 minutes' WHERE id = $1", [
          (await here.api.create({ type })).id,
        ]),
      mend: (type) => here.api.claim({ runnerId: 'r', types: [type] }),
      value: expect.any(Number),
    },
  ],
  [
    'dead letters',
    {
      wanted: { measure: 'deadLetters', threshold: 0, windowMs: 60_000 },
      worsen: (type) => end(type, 'failed'),
      mend: (type) =>
        cluster.sql.query("UPDATE jobs SET finished_at = now() - interval '61 seconds' WHERE type = $1", [type]),
      value: 1,
    },
  ],
  [
    'lost runners',
    {
      wanted: { measure: 'runnersLost', threshold: 0 },
      worsen: async (type) => {
        await here.api.claim({ runnerId: type, types: [type] });
        await here.app.context.runnerRegistry.writeSeen();
        await cluster.sql.query("UPDATE runners SET last_seen_at = now() - interval '2 minutes' WHERE id = $1", [type]);
      },
      mend: (type) => cluster.sql.query('UPDATE runners SET last_seen_at = now() WHERE id = $1', [type]),
      value: 1,
    },
  ],
  [
    'monitor lag',
    {
      wanted: { measure: 'monitorLagMs', threshold: 10_000 },
      worsen: async (type) => {
        const { id } = await here.api.create({ type });
        await here.api.claim({ runnerId: 'r', types: [type] });
        await cluster.sql.query("UPDATE jobs SET lease_expires_at = now() - interval '1 minute' WHERE id = $1", [id]);
      },
      mend: (type) =>
        cluster.sql.query("UPDATE jobs SET lease_expires_at = now() + interval '1 minute' WHERE type = $1", [type]),
      value: expect.any(Number),
    },
  ],
];

test.each(CASES)(
  '%s fires and is resolved, each told once though two coordinators look at once',
  async (_name, { wanted, worsen, mend, value }) => {
    const type = uniqueType();
    const [alert, other] = [
      await make({ ...wanted, type, message: 'call ann', recoveredMessage: 'all is well' }),
      await make({ ...wanted, type: uniqueType() }),
    ];
    await look();
    expect(await read(alert)).toMatchObject({ state: 'ok', evaluatedAt: expect.any(String) });
    await worsen(type);
    await look();
    await look();
    expect(await read(alert)).toMatchObject({ state: 'firing', value });
    await mend(type);
    await look();
    await look();
    expect(await read(alert)).toMatchObject({ state: 'ok' });
    await eventually(() => told(alert).length >= 2);
    expect(told(alert)).toEqual([
      ['alert.firing', value],
      ['alert.resolved', (await read(alert)).value],
    ]);
    expect(
      stream.frames
        .filter(({ data }) => data.details?.['alertId'] === alert.id)
        .map(({ data }) => data.details?.['message']),
    ).toEqual(['call ann', 'all is well']);
    expect(logged(alert).sort()).toEqual([
      ['info', 'alert.resolved'],
      ['warn', 'alert.firing'],
    ]);
    expect([(await read(other)).state, told(other)]).toEqual(['ok', []]);
  },
);

test('with a for-time it is pending first, and fires only if it stays above', async () => {
  const type = uniqueType();
  const alert = await make({ measure: 'depth', threshold: 0, type, forMs: 60_000 });
  const { id } = await here.api.create({ type });
  await look();
  expect(await read(alert)).toMatchObject({ state: 'pending', value: 1 });
  await here.api.post(`/jobs/${id}/cancel`);
  await look();
  expect(await read(alert)).toMatchObject({ state: 'ok' });
  await here.api.create({ type });
  await look();
  await cluster.sql.query("UPDATE alerts SET since = now() - interval '61 seconds'");
  await look();
  expect(await read(alert)).toMatchObject({ state: 'firing' });
  await eventually(() => told(alert).length === 1);
  expect(told(alert)).toEqual([['alert.firing', 1]]);
});

test.each([
  ['ok', 6, 0, 0, 'firing'],
  ['ok', 6, 1000, 0, 'pending'],
  ['pending', 6, 1000, 999, 'pending'],
  ['pending', 6, 1000, 1000, 'firing'],
  ['pending', 5, 1000, 2000, 'ok'],
  ['firing', 6, 1000, 0, 'firing'],
  ['firing', 5, 0, 0, 'ok'],
  ['firing', null, 0, 0, 'ok'],
  ['ok', null, 0, 0, 'ok'],
] as const)('one that is %s, at %s with forMs %s after %s ms, becomes %s', (state, value, forMs, stateMs, next) => {
  expect(judge({ state, threshold: 5, forMs, stateMs }, value)).toBe(next);
});

test.each(['deleted', 'disabled'])('one that fires and is %s is told as resolved', async (reason) => {
  const type = uniqueType();
  const alert = await make({ measure: 'depth', threshold: 0, type });
  await here.api.create({ type });
  await look();
  const answer =
    reason === 'deleted'
      ? await here.api.delete(`/alerts/${alert.id}`)
      : await here.api.patch(`/alerts/${alert.id}`, { enabled: false });
  expect(answer.status).toBe(reason === 'deleted' ? 204 : 200);
  await look();
  await eventually(() => told(alert).length === 2);
  expect(told(alert).map(([event]) => event)).toEqual(['alert.firing', 'alert.resolved']);
});

test('a test tells as if it fired, and leaves the state as it is', async () => {
  const alert = await make({ measure: 'depth', threshold: 5, type: uniqueType() });
  expect((await here.api.post(`/alerts/${alert.id}/test`)).body).toEqual({ value: 0, isAbove: false });
  await eventually(() => told(alert).length === 1);
  expect(stream.frames.find(({ data }) => data.details?.['alertId'] === alert.id)?.data.details).toMatchObject({
    isTest: true,
    value: 0,
  });
  expect((await read(alert)).state).toBe('ok');
});

test('what a rule says can be changed, its name stands once, and the loop looks at it by itself', async () => {
  const type = uniqueType();
  const alert = await make({ measure: 'depth', threshold: 5, type });
  expect(
    expectStatus(await here.api.patch<Alert>(`/alerts/${alert.id}`, { threshold: 0, queue: null }), 200),
  ).toMatchObject({ threshold: 0, measure: 'depth', type });
  expect(await here.api.refusal('post', '/alerts', { name: alert.name, measure: 'depth', threshold: 1 })).toEqual([
    409,
    'state_conflict',
  ]);
  const second = await make({ measure: 'depth', threshold: 5 });
  expect(await here.api.refusal('patch', `/alerts/${second.id}`, { name: alert.name })).toEqual([
    409,
    'state_conflict',
  ]);
  await here.api.create({ type });
  await there.app.loops.alerts.runOnce();
  expect(await read(alert)).toMatchObject({ state: 'firing' });
  expect((await here.api.get<{ items: Alert[] }>('/alerts')).body.items.map(({ id }) => id)).toEqual([
    alert.id,
    second.id,
  ]);
});

test.each([
  {},
  { measure: 'depth' },
  { measure: 'speed', threshold: 1 },
  { measure: 'depth', threshold: -1 },
  { measure: 'depth', threshold: 1, windowMs: 1 },
  { measure: 'depth', threshold: 1, typo: 1 },
])('nonsense is refused: %j', async (wanted) => {
  expect(await here.api.refusal('post', '/alerts', { name: 'n', ...wanted })).toEqual([400, 'validation_failed']);
});
