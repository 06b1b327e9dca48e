import { randomUUID } from 'node:crypto';
import { gzipSync } from 'node:zlib';
import type { Problem } from '@baton/runner-sdk/protocol';
import type { Answer, Sent } from '../support/api';
import { startCoordinator } from '../support/coordinator';

// What a caller reads who made a mistake: one reading must be enough to mend it.

let coordinator: Awaited<ReturnType<typeof startCoordinator>>;
beforeAll(async () => (coordinator = await startCoordinator()));
afterAll(() => coordinator.stop());

const call = (method: string, path: string, sent: Sent = {}): Promise<Answer<Problem>> =>
  coordinator.api.call<Problem>(method, path, sent);

test.each<[string, object, string]>([
  ['missing', {}, 'The body field type is missing; it must be text of 1 to 200 characters.'],
  ['a misspelt field, once', { typ: 'a' }, 'The body field typ is not a field of this call; did you mean type?'],
  [
    'another case',
    { type: 'a', userid: 'u' },
    'The body field userid is not a field of this call; did you mean userId?',
  ],
  ['a field that nothing is like', { type: 'a', foo: 1 }, 'The body field foo is not a field of this call.'],
  [
    'a field of few',
    { type: 'a', retry: { strategy: 'fixed', factor: 2 } },
    'The body field retry.factor is not a field here, which takes strategy, baseMs, maxMs, jitter.',
  ],
  [
    'a range',
    { type: 'a', timeoutMs: 0 },
    'The body field timeoutMs must be a whole number from 1 to 604800000, not 0.',
  ],
  ['another type', { type: 5 }, 'The body field type must be text of 1 to 200 characters, not 5.'],
  [
    'a word that is not one of a few',
    { type: 'a', priority: 'hihg' },
    'The body field priority must be a whole number from -100 to 100, or "high", "normal" or "low"; did you mean "high"?',
  ],
  [
    'which kind of',
    { type: 'a', retry: { strategy: 'x' } },
    'The body field retry.strategy must be "exponential", "linear" or "fixed".',
  ],
  ['a list', { type: 'a', tags: 'x' }, 'The body field tags must be a list of at most 50 items.'],
  ['null', { type: 'a', userId: null }, 'The body field userId must be text of 1 to 200 characters, not null.'],
  ['no object', [], 'The body must be an object, not an empty list.'],
])('a create with %s is told so', async (_name, json, detail) => {
  const { body } = await call('post', '/jobs', { json });
  expect(body).toMatchObject({ status: 400, code: 'validation_failed', detail });
  expect(body.errors).toHaveLength(1);
});

test('a fault of a list is told by its place, and each once', async () => {
  const jobs = [{ type: 'a' }, { typ: 'a' }, { type: 'a', runAt: 'soon' }];
  const { body } = await call('post', '/jobs/bulk', { json: { jobs } });
  expect(body.errors).toEqual([
    { path: 'jobs.1.typ', message: 'is not a field of this call; did you mean type?' },
    { path: 'jobs.2.runAt', message: 'must be an ISO-8601 time such as 2026-01-31T12:00:00Z' },
  ]);
});

test.each([
  ['/jobs?limt=5', 'The query parameter limt is not a parameter of this call; did you mean limit?'],
  ['/jobs?limit=9999', 'The query parameter limit must be a whole number from 1 to 500.'],
  [
    '/jobs?status=complete',
    'The query parameter status must be "blocked", "pending", "running", "completed", "failed" or "cancelled"; did you mean "completed"?',
  ],
  [
    '/jobs?arguments={"id":9007199254740993}',
    'The query parameter arguments.id must not be a whole number that double precision changes; send 9007199254740993 as text.',
  ],
  ['/jobs/42', 'The path parameter id must be a UUID.'],
])('%s', async (path, detail) => {
  expect((await call('get', path)).body).toMatchObject({ status: 400, detail });
});

test.each([
  ['{"type":', 'it ends at line 1, column 9, where a value is expected'],
  ['{"type":"a",\n  "priority": }', 'line 2, column 15 has "}" where a value is expected'],
  ['{"type":"a",}', 'line 1, column 13 has "}" where a name in double quotes is expected'],
  ["{'type':'a'}", 'line 1, column 2 has "\'" where a name in double quotes or } is expected'],
  ['{"type":"a" "b":1}', 'line 1, column 13 has "\\"b\\"" where a comma or } is expected'],
  ['[1,2', 'it ends at line 1, column 5, where a comma or ] is expected'],
  ['{"type":"a"}}', 'line 1, column 13 has "}" where the end is expected'],
  ['{"a":NaN}', 'line 1, column 6 has "NaN" where a value is expected'],
  [`"${'\\n'.repeat(30_000)}`, ''],
  [`${'['.repeat(60_000)}`, 'it ends at line 1, column 60001, where a value or ] is expected'],
])('where JSON breaks: %.30s', async (raw, where) => {
  expect((await call('post', '/jobs', { raw })).body).toMatchObject({
    code: 'validation_failed',
    detail: expect.stringContaining(`The body is not JSON: ${where}`),
  });
  const compressed = { raw: gzipSync(raw), headers: { 'content-encoding': 'gzip' } };
  expect((await call('post', '/jobs', compressed)).body.detail).toContain(`The body is not JSON: ${where}`);
});

test('in a long body the place where JSON breaks is not looked for', async () => {
  const { status, body } = await call('post', '/jobs', { raw: '['.repeat(1_000_000) });
  expect([status, body.detail]).toEqual([400, 'The body is not JSON.']);
});

test.each([
  ['get', '/job', 'Did you mean /jobs?'],
  ['get', '/v1/jobs', 'Did you mean /jobs?'],
  ['post', '/api/jobs/claim', 'Did you mean /jobs/claim?'],
  ['get', `/jobs/${randomUUID()}/atempts`, '/attempts?'],
  ['get', '/queue/mail', 'Did you mean /queues/mail?'],
  ['get', '/nothing/like/this', 'There is no GET /nothing/like/this. GET /docs'],
])('%s %s is a path that there is not: %s', async (method, path, hint) => {
  expect((await call(method, path)).body).toMatchObject({ code: 'not_found', detail: expect.stringContaining(hint) });
});

test.each([
  ['put', '/jobs', 'GET, HEAD, POST'],
  ['post', '/queues/mail', 'GET, HEAD, PUT'],
  ['delete', '/healthz', 'GET, HEAD'],
  ['post', '/docs', 'GET, HEAD'],
])('%s %s is 405 with what the path takes', async (method, path, allow) => {
  const { body, headers } = await call(method, path, { json: {} });
  expect(body).toMatchObject({
    status: 405,
    code: 'method_not_allowed',
    detail: expect.stringContaining(method.toUpperCase()),
  });
  expect(headers['allow']?.split(', ').sort()).toEqual(allow.split(', ').sort());
});

test('a body where none belongs is refused, an empty object is none', async () => {
  const { id } = await coordinator.api.create({ type: 'a' });
  await coordinator.api.post(`/jobs/${id}/cancel`, {});
  const path = `/jobs/${id}/retry`;
  for (const sent of [{ json: { arguments: {} } }, { json: [] }, { raw: 'x', type: 'text/plain' }])
    expect((await call('post', path, sent)).body).toMatchObject({
      status: 400,
      detail: 'POST /jobs/:id/retry takes no body; leave it out.',
    });
  expect((await coordinator.api.job(id)).status).toBe('cancelled');
  expect((await call('post', path, { json: {} })).status).toBe(200);
});

test('a whole number that a double does not hold is refused where it is kept, and marked where a failure is told', async () => {
  const raw = (path: string, text: string) => call('post', path, { raw: text });
  expect((await raw('/jobs', '{"type":"n","metadata":{"id":[9007199254740993]}}')).body.errors).toMatchObject([
    { path: 'metadata.id.0' },
  ]);
  expect((await raw('/jobs', '{"type":"n","requires":{"id":9007199254740993}}')).body.errors).toMatchObject([
    { path: 'requires.id' },
  ]);
  const several =
    '{"atomic":false,"jobs":[{"type":"n","arguments":9007199254740993},{"type":"n","arguments":"9007199254740993"}]}';
  const { body } = await coordinator.api.call<{ jobs: { code?: string }[] }>('post', '/jobs/bulk', { raw: several });
  expect(body.jobs.map(({ code }) => code)).toEqual(['validation_failed', undefined]);
  const held = await coordinator.api.claimOne({ runnerId: 'r', types: ['n'] });
  const report = (more: string) => raw(`/jobs/${held.id}/complete`, `{"leaseToken":"${held.leaseToken}",${more}}`);
  expect((await report('"outcome":"completed","result":9007199254740993')).status).toBe(400);
  expect(
    (
      await report(
        '"outcome":"failed","result":9007199254740993,"error":{"message":9007199254740993,"retryable":false}',
      )
    ).status,
  ).toBe(200);
  expect((await coordinator.api.job(held.id)).error?.message).toBe('9007199254740993');
});
