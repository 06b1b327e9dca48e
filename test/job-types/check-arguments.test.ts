import { randomUUID } from 'node:crypto';
import { defineJob, Runner } from '@baton/runner-sdk';
import type { Explanation, JobType, Problem, PublishedTypes } from '@baton/runner-sdk/protocol';
import { z } from 'zod';
import { testLogger } from '../runner-sdk/fake-coordinator';
import { startCoordinator } from '../support/coordinator';
import { eventually } from '../support/eventually';

let coordinator: Awaited<ReturnType<typeof startCoordinator>>;
const QUEUE = 'checked';
beforeAll(async () => {
  coordinator = await startCoordinator();
  await put(`/queues/${QUEUE}`, { checkArguments: true });
});
afterAll(() => coordinator.stop());

async function put<Body>(path: string, json: unknown): Promise<{ status: number; body: Body }> {
  return coordinator.api.call<Body>('put', path, { json });
}
async function post<Body>(path: string, json: unknown, headers: Record<string, string> = {}) {
  return coordinator.api.call<Body>('post', path, { json, headers });
}
async function publish(runner: string, types: Record<string, unknown>): Promise<PublishedTypes> {
  const { status, body } = await put<PublishedTypes>(`/runners/${runner}/types`, { types });
  expect(status).toBe(200);
  return body;
}
function object(properties: Record<string, unknown>, required = Object.keys(properties)): object {
  return { type: 'object', properties, required, additionalProperties: false };
}
const newType = (): string => `TYPED_${randomUUID().slice(0, 8)}`;

test('arguments that fit no schema are refused, with the place of each fault', async () => {
  const type = newType();
  expect(
    await publish('r1', { [type]: { arguments: object({ to: { type: 'array', items: { type: 'string' } } }) } }),
  ).toEqual({
    typeSet: expect.any(String) as unknown,
    refused: [],
  });
  const refused = await post<Problem>('/jobs', { type, queue: QUEUE, arguments: { to: ['a', 1], cc: 1 } });
  expect(refused.status).toBe(422);
  expect(refused.body).toMatchObject({
    code: 'invalid_arguments',
    errors: [
      { path: 'arguments.cc', pointer: '/arguments/cc', message: 'is not known' },
      { path: 'arguments.to.1', pointer: '/arguments/to/1', message: 'must be string' },
    ],
  });
  expect((await post<Problem>('/jobs', { type, queue: QUEUE })).body.errors).toEqual([
    { path: 'arguments.to', pointer: '/arguments/to', message: 'is missing' },
  ]);
  expect((await post('/jobs', { type, queue: QUEUE, arguments: { to: ['a'] } })).status).toBe(201);
  // Neither queues without the setting nor types without schemas are checked.
  expect((await post('/jobs', { type, queue: 'free', arguments: { cc: 1 } })).status).toBe(201);
  expect((await post('/jobs', { type: newType(), queue: QUEUE, arguments: { cc: 1 } })).status).toBe(201);
});

test('old and new schemas stand side by side, until nobody serves the old one', async () => {
  const type = newType();
  const claim = (runnerId: string, typeSet: string) => post('/jobs/claim', { runnerId, types: [type], typeSet });
  const old = await publish('old', { [type]: { arguments: object({ a: { type: 'number' } }) } });
  await claim('old', old.typeSet);
  const young = await publish('young', { [type]: { arguments: object({ b: { type: 'number' } }) } });
  await claim('young', young.typeSet);
  for (const args of [{ a: 1 }, { b: 1 }])
    expect((await post('/jobs', { type, queue: QUEUE, arguments: args })).status).toBe(201);
  expect((await post('/jobs', { type, queue: QUEUE, arguments: { c: 1 } })).status).toBe(422);
  const { body } = await coordinator.api.get<JobType>(`/types/${type}`);
  expect(body).toMatchObject({
    runners: 2,
    schemas: [
      { runners: 1, inForce: true },
      { runners: 1, inForce: true },
    ],
  });

  await post('/jobs/heartbeat', { runnerId: 'old', jobs: [], goodbye: true });
  // What is just published is in force although its runner was not seen yet: let it be of before.
  await coordinator.sql.query("UPDATE type_sets SET published_at = now() - interval '2 minutes'");
  await coordinator.api.get('/runners');
  const { body: left } = await coordinator.api.get<JobType>(`/types/${type}`);
  expect(left.schemas.map(({ inForce }) => inForce)).toEqual([true, false]);
  expect((await post('/jobs', { type, queue: QUEUE, arguments: { c: 1 } })).status).toBe(422);
  expect((await post('/jobs', { type, queue: QUEUE, arguments: { a: 1 } })).status).toBe(422);
  // Scaled to nothing: the last known schemas still say what fits.
  await post('/jobs/heartbeat', { runnerId: 'young', jobs: [], goodbye: true });
  await coordinator.api.get('/runners');
  expect((await post('/jobs', { type, queue: QUEUE, arguments: { a: 1 } })).status).toBe(201);
  expect((await post('/jobs', { type, queue: QUEUE, arguments: { c: 1 } })).status).toBe(422);
});

test('every way to create is checked: bulk, workflows, batches, schedules; repeats get their first answer', async () => {
  const type = newType();
  const good = { type, queue: QUEUE, arguments: { n: 1 } };
  const bad = { type, queue: QUEUE, arguments: { n: 'x' } };
  const key = randomUUID();
  const first = await post<{ id: string }>('/jobs', bad, { 'idempotency-key': key });
  const bulkKey = randomUUID();
  const firstBulk = await post('/jobs/bulk', { jobs: [bad] }, { 'idempotency-key': bulkKey });
  expect([first.status, firstBulk.status]).toEqual([201, 201]);
  await publish('r2', { [type]: { arguments: object({ n: { type: 'integer' } }) } });

  const answers = [
    await post<Problem>('/jobs/bulk', { jobs: [good, bad] }),
    await post<Problem>('/workflows', { name: 'w', jobs: { a: good, b: { ...bad, dependsOn: ['a'] } } }),
    await post<Problem>('/batches', { jobs: [good, bad] }),
    await post<Problem>('/batches', { jobs: [], onComplete: bad }),
    await post<Problem>('/schedules', { name: randomUUID(), everyMs: 60_000, job: bad }),
  ];
  expect(answers.map(({ status, body }) => [status, body.errors?.[0]?.pointer])).toEqual([
    [422, '/jobs/1/arguments/n'],
    [422, '/jobs/b/arguments/n'],
    [422, '/jobs/1/arguments/n'],
    [422, expect.stringMatching(/^\/onComplete\/arguments/)],
    [422, '/job/arguments/n'],
  ]);
  const { body } = await post<{ jobs: object[] }>('/jobs/bulk', { jobs: [good, bad], atomic: false });
  expect(body.jobs).toMatchObject([{ type }, { code: 'invalid_arguments' }]);

  const again = await post<{ id: string }>('/jobs', bad, { 'idempotency-key': key });
  expect([again.status, again.body.id]).toEqual([200, first.body.id]);
  expect((await post('/jobs/bulk', { jobs: [bad] }, { 'idempotency-key': bulkKey })).status).toBe(200);
  const { body: why } = await coordinator.api.get<Explanation>(`/jobs/${first.body.id}/explain`);
  expect(why.reasons.at(-1)).toMatchObject({
    code: 'arguments_fit_no_schema',
    details: { errors: [{ pointer: '/arguments/n' }] },
  });
});

test('hostile schemas are refused or put aside, and nothing hangs', async () => {
  const types = [newType(), newType(), newType(), newType(), newType(), newType()];
  const [remote = '', large = '', broken = '', slow = '', many = '', endless = ''] = types;
  const levels = Array.from({ length: 40 }, (_, at) => [
    `l${at}`,
    { allOf: [{ $ref: `#/$defs/l${at + 1}` }, { $ref: `#/$defs/l${at + 1}` }] },
  ]);
  const { refused } = await publish('hostile', {
    [remote]: { arguments: { $ref: 'http://127.0.0.1:1/schema.json' } },
    [large]: { arguments: { description: 'x'.repeat(40_000) } },
    [broken]: { arguments: { type: 'nothing' } },
    [slow]: { arguments: { type: 'object', properties: { s: { type: 'string', pattern: '^(a+)+$' } } } },
    [many]: { arguments: { $ref: '#/$defs/l0', $defs: Object.fromEntries([...levels, ['l40', { type: 'object' }]]) } },
    [endless]: { arguments: { allOf: [{ $ref: '#' }] } },
    'not a name': { arguments: true },
  });
  expect(refused.map(({ type }) => type).sort()).toEqual([remote, large, broken, 'not a name'].sort());
  // The runner judges by itself what cannot be judged in time.
  for (const type of [slow, many, endless])
    expect((await post('/jobs', { type, queue: QUEUE, arguments: { s: `${'a'.repeat(64)}!` } })).status).toBe(201);
  expect(coordinator.logged.filter(({ message }) => message.includes('cannot be used'))).toHaveLength(3);
});

test('the SDK publishes what the schemas of a definition say', async () => {
  const type = newType();
  const job = defineJob({
    type,
    arguments: z.strictObject({ n: z.int(), at: z.coerce.date(), size: z.number().default(3) }),
    result: z.object({ ok: z.boolean() }),
  });
  const runner = new Runner({
    coordinatorUrl: coordinator.url,
    apiKey: coordinator.adminKey,
    signals: false,
    waitMs: 100,
    logger: testLogger(),
  });
  runner.handle(job, () => ({ ok: true }));
  await runner.start();
  const known = () => coordinator.api.get<JobType>(`/types/${type}`);
  try {
    const { body } = await eventually(known, (answer) => (answer.body.schemas?.[0]?.runners ?? 0) === 1);
    expect(body.schemas[0]).toMatchObject({
      arguments: { required: ['n'], additionalProperties: false, properties: { at: {}, size: { default: 3 } } },
      result: { properties: { ok: { type: 'boolean' } } },
    });
    expect((await post('/jobs', { type, queue: QUEUE, arguments: { n: 1, at: '2026-01-31' } })).status).toBe(201);
    expect((await post('/jobs', { type, queue: QUEUE, arguments: { n: 1.5, at: '2026-01-31' } })).status).toBe(422);
  } finally {
    await runner.stop({ graceMs: 0 });
  }
});

test('a claim with a set that is not stored is told to publish', async () => {
  const { app } = coordinator;
  const claim = () =>
    post<{ directives: object }>('/jobs/claim', { runnerId: 'stranger', types: ['ANY'], typeSet: 'unheard-of' });
  expect((await claim()).body.directives).toEqual({});
  await app.context.publishedTypes.read();
  expect((await claim()).body.directives).toEqual({ publishTypes: true });
  const { typeSet } = await publish('stranger', { ANY: { arguments: true } });
  const { body } = await post<{ directives: object }>('/jobs/claim', { runnerId: 'stranger', types: ['ANY'], typeSet });
  expect(body.directives).toEqual({});
});
