import type { CreatedApiKey, Session, SessionLink } from '@baton/runner-sdk/protocol';
import { insert, MOST_SESSIONS } from '../../coordinator/store/sessions';
import { startCoordinator } from '../support/coordinator';
import { expectStatus } from '../support/api';
import { eventually } from '../support/eventually';
import { uniqueType } from '../support/factory';

const PAGE = 'https://app.example.com';

let coordinator: Awaited<ReturnType<typeof startCoordinator>>;
beforeAll(async () => {
  coordinator = await startCoordinator({
    access: { allowedHosts: ['localhost', '127.0.0.1'], corsOrigins: [PAGE], trustProxy: 1 },
  });
});
afterAll(() => coordinator.stop());

const own = { 'sec-fetch-site': 'same-origin' };
const anonymous = () => coordinator.api.as(null);

async function signIn(
  headers: Record<string, string> = {},
): Promise<{ key: CreatedApiKey; cookie: string; flags: string[] }> {
  const key = expectStatus(
    await coordinator.api.post<CreatedApiKey>('/api-keys', { name: 'person', role: 'producer' }),
    201,
  );
  const answer = await anonymous().post('/session', { apiKey: key.key }, { headers });
  expectStatus(answer, 201);
  const [cookie = '', ...flags] = String(answer.headers['set-cookie']).split('; ');
  return { key, cookie, flags };
}

describe('a link', () => {
  const link = async (api = coordinator.api, json: object = {}) =>
    expectStatus(await api.post<SessionLink>('/session/links', json), 201);
  const use = (linkToken: string) => anonymous().post<Session>('/session', { linkToken });

  test('signs in once, as the key that made it', async () => {
    const key = expectStatus(
      await coordinator.api.post<CreatedApiKey>('/api-keys', { name: 'person', role: 'user', userId: 'ann' }),
      201,
    );
    const { token, path } = await link(coordinator.api.as(key.key));
    expect(path).toBe(`/dashboard/#sign-in=${token}`);
    const answer = await use(token);
    expect(expectStatus(answer, 201)).toMatchObject({ keyId: key.id, role: 'user', userId: 'ann' });
    const [cookie = ''] = String(answer.headers['set-cookie']).split('; ');
    expectStatus(await anonymous().call('get', '/session', { headers: { cookie } }), 200);
    expectStatus(await use(token), 401);
    const stored = JSON.stringify(await coordinator.sql.query('SELECT * FROM session_links'));
    expect(stored).not.toContain(token);
  });

  test('signs in one of those who use it at the same time', async () => {
    const { token } = await link();
    const statuses = await Promise.all(Array.from({ length: 8 }, async () => (await use(token)).status));
    expect(statuses.filter((status) => status === 201)).toHaveLength(1);
  });

  test('does not outlive its time, nor its key', async () => {
    const late = await link();
    await coordinator.sql.query("UPDATE session_links SET expires_at = now() - interval '1 ms'");
    expectStatus(await use(late.token), 401);
    const key = expectStatus(
      await coordinator.api.post<CreatedApiKey>('/api-keys', { name: 'gone', role: 'viewer' }),
      201,
    );
    const orphan = await link(coordinator.api.as(key.key));
    expectStatus(await coordinator.api.delete(`/api-keys/${key.id}`), 200);
    expectStatus(await use(orphan.token), 401);
  });

  test('takes a life of a day at most, and a sign-in either a key or a link', async () => {
    expect((await coordinator.api.post('/session/links', { expiresInMs: 86_400_001 })).status).toBe(400);
    for (const body of [{}, { apiKey: 'a'.repeat(40), linkToken: 'b' }])
      expect((await anonymous().post('/session', body)).status).toBe(400);
  });
});

describe('a session', () => {
  test('does what its key may, with a cookie that scripts and other sites cannot use', async () => {
    const { key, cookie, flags } = await signIn();
    expect(cookie).toMatch(/^baton_session=[\w-]{43}$/);
    expect(flags).toEqual(['Path=/', 'HttpOnly', 'SameSite=Strict', expect.stringMatching(/^Max-Age=4\d{4}$/)]);
    const who = expectStatus(await anonymous().call<Session>('get', '/session', { headers: { cookie } }), 200);
    expect(who).toEqual({
      keyId: key.id,
      name: 'person',
      role: 'producer',
      userId: null,
      expiresAt: expect.any(String) as string,
    });
    expectStatus(await anonymous().post('/jobs', { type: uniqueType() }, { headers: { cookie, ...own } }), 201);
    const stored = JSON.stringify(await coordinator.sql.query('SELECT * FROM sessions'));
    expect(stored).not.toContain(cookie.split('=')[1]);
  });

  test('is marked Secure when the client came by TLS', async () => {
    expect((await signIn({ 'x-forwarded-proto': 'https' })).flags).toContain('Secure');
  });

  test('writes only from the coordinator’s own pages', async () => {
    const { cookie } = await signIn();
    const write = async (headers: Record<string, string>) =>
      (await anonymous().post('/jobs', { type: uniqueType() }, { headers: { cookie, ...headers } })).status;
    const host = new URL(coordinator.url).host;
    expect(await Promise.all([own, { origin: `http://${host}` }].map(write))).toEqual([201, 201]);
    const foreign: Record<string, string>[] = [
      {},
      { origin: PAGE },
      { origin: 'null' },
      { origin: 'http://127.0.0.1:1' },
      { 'sec-fetch-site': 'cross-site' },
      { 'sec-fetch-site': 'same-site', origin: `http://${host}` },
      { 'sec-fetch-site': 'none' },
    ];
    expect(await Promise.all(foreign.map(write))).toEqual(foreign.map(() => 403));
    expect((await anonymous().call('get', '/jobs', { headers: { cookie } })).status).toBe(200);
  });

  test('is not opened from another site, nor with a bad key', async () => {
    expect(
      (
        await anonymous().post(
          '/session',
          { apiKey: coordinator.adminKey },
          { headers: { 'sec-fetch-site': 'cross-site' } },
        )
      ).status,
    ).toBe(403);
    const bad = await anonymous().post('/session', { apiKey: 'a'.repeat(40) });
    expect([bad.status, bad.headers['set-cookie']]).toEqual([401, undefined]);
  });

  test('ends when it is closed, and when its key is revoked', async () => {
    const closed = await signIn();
    const answer = await anonymous().call('delete', '/session', { headers: { cookie: closed.cookie, ...own } });
    expect([answer.status, String(answer.headers['set-cookie'])]).toEqual([
      204,
      expect.stringMatching(/^baton_session=; .*Max-Age=0/),
    ]);
    expect((await anonymous().call('get', '/session', { headers: { cookie: closed.cookie } })).status).toBe(401);
    const revoked = await signIn();
    expectStatus(await coordinator.api.delete(`/api-keys/${revoked.key.id}`), 200);
    await eventually(
      async () => (await anonymous().call('get', '/session', { headers: { cookie: revoked.cookie } })).status === 401,
      Boolean,
      5000,
    );
  });

  test('a forged cookie is none', async () => {
    for (const cookie of ['baton_session=', 'baton_session=x', `baton_session=${'A'.repeat(43)}`]) {
      expect((await anonymous().call('get', '/jobs', { headers: { cookie } })).status).toBe(401);
    }
  });
});

describe('other pages of the same browser', () => {
  test('under a name that was pointed here are refused, probes are answered', async () => {
    const as = async (host: string, path = '/jobs') =>
      (await coordinator.api.call('get', path, { headers: { host } })).status;
    expect(await Promise.all(['localhost', 'LOCALHOST:3001', '127.0.0.1:80'].map((host) => as(host)))).toEqual([
      200, 200, 200,
    ]);
    expect(
      await Promise.all(
        ['evil.example', 'localhost.evil.example', '127.0.0.1.evil.example:80', '10.0.0.1'].map((host) => as(host)),
      ),
    ).toEqual([403, 403, 403, 403]);
    expect(
      await Promise.all([as('10.0.0.1', '/healthz'), as('10.0.0.1', '/readyz'), as('evil.example', '/nowhere')]),
    ).toEqual([200, 200, 403]);
  });

  test('may call with a key from the origins that are configured, and from no other', async () => {
    const preflight = (origin: string) =>
      anonymous().call('options', '/jobs', { headers: { origin, 'access-control-request-method': 'POST' } });
    const allowed = await preflight(PAGE);
    expect([
      allowed.status,
      allowed.headers['access-control-allow-origin'],
      allowed.headers['access-control-allow-credentials'],
    ]).toEqual([204, PAGE, undefined]);
    for (const origin of ['https://evil.example', 'null', `${PAGE}.evil.example`]) {
      expect((await preflight(origin)).headers['access-control-allow-origin']).toBeUndefined();
    }
    expect((await coordinator.api.call('get', '/jobs', { headers: { origin: PAGE } })).headers).toMatchObject({
      'access-control-allow-origin': PAGE,
      vary: 'Origin',
    });
  });

  test('are told by every answer what they may not do', async () => {
    for (const path of ['/healthz', '/jobs', '/nowhere']) {
      const { headers } = await coordinator.api.get(path);
      expect(headers['content-security-policy']).toMatch(
        /^default-src 'none';script-src 'self';.*frame-ancestors 'none'$/,
      );
      expect(headers).toMatchObject({
        'x-content-type-options': 'nosniff',
        'x-frame-options': 'DENY',
        'referrer-policy': 'no-referrer',
      });
      expect(headers['access-control-allow-origin']).toBeUndefined();
      expect(headers['x-powered-by']).toBeUndefined();
    }
  });
});

test('of one key so many are open, and one more ends the oldest', async () => {
  const { key, cookie } = await signIn();
  const { db } = coordinator.app.services.context;
  const open = () => coordinator.sql.count(`sessions WHERE key_id = '${key.id}'`);
  for (let n = 1; n < MOST_SESSIONS; n += 1)
    await insert(db, { tokenHash: `${key.id} ${n}`, keyId: key.id, lifeMs: 60_000 });
  expect(await open()).toBe(MOST_SESSIONS);
  expect((await anonymous().call('get', '/session', { headers: { cookie } })).status).toBe(200);
  const other = await signIn();
  expectStatus(await anonymous().post('/session', { apiKey: key.key }), 201);
  expect(await open()).toBe(MOST_SESSIONS);
  coordinator.app.services.keys.forgetSession(cookie.split('=')[1] ?? '');
  expect((await anonymous().call('get', '/session', { headers: { cookie } })).status).toBe(401);
  expect((await anonymous().call('get', '/session', { headers: { cookie: other.cookie } })).status).toBe(200);
});
