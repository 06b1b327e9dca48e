import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Problem, Session } from '@baton/runner-sdk/protocol';
import {
  exportJWK,
  exportSPKI,
  generateKeyPair,
  type GenerateKeyPairResult,
  type JWK,
  type JWTHeaderParameters,
  SignJWT,
} from 'jose';
import type { TokenSettings } from '../../coordinator/domain/auth/tokens';
import { expectStatus } from '../support/api';
import { startCoordinator, type TestCoordinator } from '../support/coordinator';
import { eventually } from '../support/eventually';
import { uniqueType } from '../support/factory';

const SECRET = 'a secret of more than thirty-two bytes';
const COMMON = { issuer: 'https://issuer.example', audience: 'baton', roleClaim: 'baton_role' };

interface Wanted {
  claims?: Record<string, unknown>;
  sub?: string | null;
  issuer?: string;
  audience?: string;
  expires?: string | number | null;
  notBefore?: string;
  key?: Parameters<SignJWT['sign']>[0];
  header?: { alg: string; kid?: string };
}

function token({
  claims = { baton_role: 'producer' },
  sub = 'ann',
  issuer = COMMON.issuer,
  audience = COMMON.audience,
  expires = '5m',
  notBefore,
  key,
  header = { alg: 'HS256' },
}: Wanted = {}): Promise<string> {
  const jwt = new SignJWT(claims).setProtectedHeader(header).setIssuer(issuer).setAudience(audience);
  if (sub !== null) jwt.setSubject(sub);
  if (expires !== null) jwt.setExpirationTime(expires);
  if (notBefore !== undefined) jwt.setNotBefore(notBefore);
  return jwt.sign(key ?? new TextEncoder().encode(SECRET));
}

const started: { stop(): Promise<void> }[] = [];
afterAll(() => Promise.all(started.map((one) => one.stop())));

async function startWith(source: TokenSettings['source']): Promise<TestCoordinator> {
  const coordinator = await startCoordinator({
    access: { tokens: { ...COMMON, source }, failedLoginsPerMinute: 1000 },
  });
  started.push(coordinator);
  return coordinator;
}

describe('tokens signed with a secret', () => {
  let coordinator: TestCoordinator;
  beforeAll(async () => (coordinator = await startWith({ secret: SECRET })));
  const who = async (bearer: string) => coordinator.api.as(bearer).get<Session & Problem>('/session');

  test('a claim that names no type or queue lets a runner claim nothing and touch no job', async () => {
    const type = uniqueType();
    await coordinator.api.create({ type });
    const claim = { runnerId: 'r', types: [type] };
    for (const empty of [{ baton_types: [] }, { baton_queues: [] }]) {
      const runner = coordinator.api.as(await token({ claims: { baton_role: 'runner', ...empty } }));
      expect(await runner.refusal('post', '/jobs/claim', claim)).toEqual([403, 'forbidden']);
    }
    const job = await coordinator.api.claimOne(claim);
    const none = coordinator.api.as(await token({ claims: { baton_role: 'runner', baton_types: [] } }));
    const beat = await none.refusal('post', `/jobs/${job.id}/heartbeat`, { leaseToken: job.leaseToken });
    expect(beat).toEqual([404, 'not_found']);
  });

  test('speak for their user in their role', async () => {
    expect(expectStatus(await who(await token({ claims: { baton_role: 'user' } })), 200)).toEqual({
      keyId: 'jwt:ann',
      name: 'ann',
      role: 'user',
      userId: 'ann',
      expiresAt: null,
    });
    expect(expectStatus(await who(await token()), 200)).toMatchObject({ role: 'producer', userId: null });
    const [ann, bob] = await Promise.all(
      ['ann', 'bob'].map(async (sub) => coordinator.api.as(await token({ sub, claims: { baton_role: 'user' } }))),
    );
    const job = await ann?.create({ type: uniqueType() });
    expect((await bob?.get(`/jobs/${job?.id}`))?.status).toBe(404);
  });

  test('limit a runner to queues and types', async () => {
    const runner = coordinator.api.as(
      await token({ claims: { baton_role: 'runner', baton_types: ['x'], baton_queues: ['q'] } }),
    );
    expect(await runner.refusal('post', '/jobs/claim', { runnerId: 'r', types: ['y'] })).toEqual([403, 'forbidden']);
    expect(await runner.claim({ runnerId: 'r', types: ['x'] })).toEqual([]);
  });

  test('may be a little late, not more', async () => {
    const now = Math.floor(Date.now() / 1000);
    expect((await who(await token({ expires: now - 2 }))).status).toBe(200);
    expect((await who(await token({ expires: now - 20 }))).status).toBe(401);
  });

  test('are refused for every fault, and say which', async () => {
    const { privateKey, publicKey } = await generateKeyPair('RS256');
    const none = `${Buffer.from('{"alg":"none"}').toString('base64url')}.${(await token()).split('.')[1]}.`;
    const confused = await token({ key: new TextEncoder().encode(await exportSPKI(publicKey)) });
    const faults: [string, RegExp][] = [
      [await token({ issuer: 'https://other.example' }), /claim iss/],
      [await token({ audience: 'other' }), /claim aud/],
      [await token({ sub: null }), /claim sub/],
      [await token({ expires: null }), /claim exp/],
      [await token({ expires: '-1m' }), /expired/],
      [await token({ notBefore: '1h' }), /claim nbf/],
      [await token({ claims: {} }), /claim baton_role must be one of/],
      [await token({ claims: { baton_role: 'root' } }), /claim baton_role/],
      [await token({ claims: { baton_role: 'runner', baton_types: 'x' } }), /claim baton_types/],
      [await token({ sub: 'a\u0000' }), /claim sub/],
      [await token({ key: new TextEncoder().encode('another secret of at least 32 bytes') }), /not valid/],
      [await token({ key: privateKey, header: { alg: 'RS256' } }), /not valid/],
      [await token({ header: { alg: 'HS512' } }), /not valid/],
      [confused, /not valid/],
      [none, /unknown|not valid|API key/],
      [`${(await token()).slice(0, -3)}abc`, /not valid/],
      [await token({ claims: { baton_role: ['admin'] } }), /claim baton_role/],
      [await token({ claims: { baton_role: 'runner', baton_queues: ['a b'] } }), /claim baton_queues/],
      [await token({ sub: 'x'.repeat(201) }), /claim sub/],
      [await token({ notBefore: '30s' }), /claim nbf/],
      [
        `${(await token()).split('.')[0]}.${Buffer.from('{"baton_role":"admin"}').toString('base64url')}.${(await token()).split('.')[2]}`,
        /not valid/,
      ],
      ['a.b.c', /not valid/],
    ];
    for (const [bearer, message] of faults) {
      const { status, body } = await who(bearer);
      expect([status, body.code, body.detail]).toEqual([401, 'unauthenticated', expect.stringMatching(message)]);
    }
  });

  test('that are huge are refused before they are looked at, and harm nobody', async () => {
    const fits = await token({ claims: { baton_role: 'viewer', more: 'x'.repeat(4000) } });
    expect((await who(fits)).status).toBe(200);
    // Node refuses headers over 16 KiB itself, and hangs up.
    for (const size of [6500, 9000])
      expect((await who(await token({ claims: { baton_role: 'viewer', more: 'x'.repeat(size) } }))).status).toBe(401);
    const tooLong = who(await token({ claims: { baton_role: 'viewer', more: 'x'.repeat(100_000) } })).then(
      ({ status }) => status,
      () => 431,
    );
    expect(await tooLong).toBe(431);
    await eventually(
      async () => (await coordinator.api.get('/session').catch(() => ({ status: 0 }))).status,
      (status) => status === 200,
    );
  });

  test('do not open sessions, and keys still work', async () => {
    expect((await coordinator.api.as(null).post('/session', { apiKey: (await token()).slice(0, 200) })).status).toBe(
      401,
    );
    expect((await coordinator.api.get('/session')).status).toBe(200);
  });
});

describe('tokens of an issuer with public keys', () => {
  let issuer: Server;
  let coordinator: TestCoordinator;
  let pair: GenerateKeyPairResult;
  let keys: JWK[] = [];
  let asked = 0;
  let isAway = false;
  beforeAll(async () => {
    pair = await generateKeyPair('ES256');
    keys = [{ ...(await exportJWK(pair.publicKey)), kid: 'one', alg: 'ES256', use: 'sig' }];
    issuer = createServer((_request, response) => {
      asked += 1;
      if (isAway) return void response.destroy();
      response.setHeader('Content-Type', 'application/json').end(JSON.stringify({ keys }));
    });
    await new Promise<void>((resolve) => issuer.listen(0, '127.0.0.1', resolve));
    coordinator = await startWith({ jwksUrl: `http://127.0.0.1:${(issuer.address() as AddressInfo).port}/keys` });
  });
  afterAll(() => new Promise((resolve) => issuer.close(resolve)));
  const signed = (more: Wanted = {}) => token({ key: pair.privateKey, header: { alg: 'ES256', kid: 'one' }, ...more });
  const status = async (bearer: string) => (await coordinator.api.as(bearer).get('/session')).status;

  test('are checked with the keys, which are kept', async () => {
    const before = asked;
    expect(await status(await signed())).toBe(200);
    expect(await status(await signed({ sub: 'bob' }))).toBe(200);
    expect(asked - before).toBeLessThanOrEqual(1);
  });

  test('are checked with new keys once the issuer has changed them, and the old ones end', async () => {
    const next = await generateKeyPair('ES256');
    const before = keys;
    keys = [{ ...(await exportJWK(next.publicKey)), kid: 'two', alg: 'ES256', use: 'sig' }];
    const renewed = await signed({ key: next.privateKey, header: { alg: 'ES256', kid: 'two' } });
    // An unknown key is asked for again, though not more often than every five seconds.
    await eventually(
      () => status(renewed),
      (answered) => answered === 200,
      15_000,
    );
    expect(await status(await signed({ sub: 'late' }))).toBe(401);
    keys = [...keys, ...before];
    await eventually(
      async () => status(await signed({ sub: 'both' })),
      (answered) => answered === 200,
      15_000,
    );
  }, 40_000);

  test('still speak when the issuer is away, as long as its keys are known; unknown ones are not let in', async () => {
    expect(await status(await signed({ sub: 'here' }))).toBe(200);
    isAway = true;
    expect(await status(await signed({ sub: 'while away' }))).toBe(200);
    const answers = await eventually(
      async () => status(await signed({ header: { alg: 'ES256', kid: 'never seen' } })),
      (answered) => answered === 503 || answered === 401,
    );
    expect([401, 503]).toContain(answers);
    isAway = false;
  });

  test('with another algorithm than their key has are refused, embedded keys and addresses of keys included', async () => {
    const evil = await generateKeyPair('ES256');
    const jwk = await exportJWK(evil.publicKey);
    const headers: JWTHeaderParameters[] = [
      { alg: 'ES256', jwk },
      { alg: 'ES256', kid: 'one', jwk },
      { alg: 'ES256', jku: 'http://127.0.0.1:1/keys', kid: 'evil' },
      { alg: 'ES256', kid: 'one', crit: ['b64'], b64: true },
    ];
    for (const header of headers) {
      const forged = await new SignJWT({ baton_role: 'admin' })
        .setProtectedHeader(header)
        .setSubject('eve')
        .setIssuer(COMMON.issuer)
        .setAudience(COMMON.audience)
        .setExpirationTime('5m')
        .sign(evil.privateKey);
      expect([header, await status(forged)]).toEqual([header, 401]);
    }
  });

  test('are refused when another key signed them, or a public key was taken for a secret', async () => {
    const other = await generateKeyPair('ES256');
    expect(await status(await signed({ key: other.privateKey }))).toBe(401);
    expect(
      await status(
        await token({
          key: new TextEncoder().encode(await exportSPKI(pair.publicKey)),
          header: { alg: 'HS256', kid: 'one' },
        }),
      ),
    ).toBe(401);
    expect(await status(await signed({ header: { alg: 'ES256', kid: 'unknown' } }))).toBe(401);
  });
});

test('an issuer that cannot be reached makes tokens unavailable, and leaves keys alone', async () => {
  const coordinator = await startWith({ jwksUrl: 'http://127.0.0.1:1/keys' });
  const { privateKey } = await generateKeyPair('ES256');
  const answer = await coordinator.api
    .as(await token({ key: privateKey, header: { alg: 'ES256', kid: 'one' } }))
    .get<Problem>('/session');
  expect([answer.status, answer.body.code]).toEqual([503, 'unavailable']);
  expect((await coordinator.api.get('/session')).status).toBe(200);
});
