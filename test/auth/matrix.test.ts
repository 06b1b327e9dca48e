import { randomUUID } from 'node:crypto';
import { role as roles, type Role } from '@baton/runner-sdk/protocol';
import { ENDPOINTS } from '../../coordinator/http/server';
import type { Api } from '../support/api';
import { startCoordinator } from '../support/coordinator';

let coordinator: Awaited<ReturnType<typeof startCoordinator>>;
const keys = new Map<Role, Api>();
beforeAll(async () => {
  coordinator = await startCoordinator();
  for (const role of roles.options) {
    const key = await coordinator.api.makeKey({ name: role, role, ...(role === 'user' ? { userId: 'ann' } : {}) });
    keys.set(role, coordinator.api.as(key));
  }
});
afterAll(() => coordinator.stop());

const targetOf = (path: string) => path.replace(':id', randomUUID());
const secured = ENDPOINTS.filter(({ roles: allowed }) => allowed !== 'public');
const forged = [null, '', 'x', `baton_${'a'.repeat(12)}_${'b'.repeat(34)}`, 'a'.repeat(40), 'a'.repeat(201)];

test('what needs no key is this, and nothing else', () => {
  expect(ENDPOINTS.filter(({ roles: allowed }) => allowed === 'public').map(({ method, path }) => `${method} ${path}`)).toEqual(['get /healthz', 'get /readyz']);
});

test.each(secured.map(({ method, path }) => [method, path]))('%s %s lets nobody in without a good key', async (method, path) => {
  const answers = await Promise.all(forged.map((key) => coordinator.api.as(key).call<{ code: string; detail: string }>(method, targetOf(path), method === 'get' ? {} : { json: {} })));
  expect(answers.map(({ status, body }) => [status, body.code])).toEqual(forged.map(() => [401, 'unauthenticated']));
  expect(answers.map(({ headers }) => headers['www-authenticate'])).toEqual(forged.map(() => 'Bearer'));
  expect(new Set(answers.slice(3).map(({ body }) => body.detail)).size).toBe(1);
});

test.each(secured.flatMap(({ method, path, roles: allowed }) => roles.options.map((role) => [role, method, path, allowed.includes(role)] as const)))(
  '%s: %s %s is allowed: %s',
  async (role, method, path, isAllowed) => {
    const answer = await keys.get(role)?.call<{ code?: string }>(method, targetOf(path), method === 'get' ? {} : { json: {} });
    expect([401, 403, 500].includes(answer?.status ?? 500)).toBe(!isAllowed);
    if (!isAllowed) expect([answer?.status, answer?.body.code]).toEqual([403, 'forbidden']);
  },
);

test.each(['Basic abc', 'Bearer', 'Bearer  ', 'bearer a b', 'Token abc'])('%s is no credential', async (authorization) => {
  expect((await coordinator.api.as(null).call('get', '/jobs', { headers: { authorization } })).status).toBe(401);
});

test('the scheme may be written in any case', async () => {
  expect((await coordinator.api.as(null).call('get', '/jobs', { headers: { authorization: `bearer ${coordinator.adminKey}` } })).status).toBe(200);
});
