import { CredentialWatch } from '../../coordinator/domain/auth/credential-watch';
import { expectStatus } from '../support/api';
import { type Cluster, startCluster, type TestCoordinator } from '../support/coordinator';
import { eventually } from '../support/eventually';
import { uniqueType } from '../support/factory';
import { RawSocket } from '../support/raw-socket';

let cluster: Cluster;
let one: TestCoordinator;
let two: TestCoordinator;
beforeAll(async () => {
  cluster = await startCluster(2);
  [one, two] = cluster.coordinators as [TestCoordinator, TestCoordinator];
});
afterAll(() => cluster.stop());

const make = async (role: 'runner' | 'viewer') =>
  expectStatus(await one.api.post<{ id: string; key: string }>('/api-keys', { name: 'short', role }), 201);
const WITHIN_MS = 8000;

test('a claim that waits on another coordinator ends with its key, and is given nothing', async () => {
  const { id, key } = await make('runner');
  const type = uniqueType();
  const waiting = two.api
    .as(key)
    .post<{ code: string }>('/jobs/claim', { runnerId: 'r', types: [type], waitMs: 50_000 });
  await eventually(() => two.app.services.credentialWatch.size > 0);
  expectStatus(await one.api.delete(`/api-keys/${id}`), 200);
  const { status, body } = await waiting;
  expect([status, body.code]).toEqual([401, 'unauthenticated']);
  const job = await one.api.create({ type });
  expect((await one.api.job(job.id)).status).toBe('pending');
  await eventually(() => two.app.services.credentialWatch.size === 0);
});

test('a job that was given to a claim whose key ended meanwhile is given back', async () => {
  const { id, key } = await make('runner');
  const type = uniqueType();
  const waiting = two.api
    .as(key)
    .post<{ code: string }>('/jobs/claim', { runnerId: 'r', types: [type], waitMs: 50_000 });
  await eventually(() => two.app.services.credentialWatch.size > 0);
  // It is looked up at the moment of giving, when that was not done for some seconds: the look and the call itself,
  // which is let pass while it is short, must be that old, so the clock of the whole process is put forward.
  await two.app.loops.credentials.stop();
  expectStatus(await one.api.delete(`/api-keys/${id}`), 200);
  const realNow = performance.now.bind(performance);
  const clock = jest.spyOn(performance, 'now').mockImplementation(() => realNow() + 4000);
  try {
    const job = await one.api.create({ type });
    expect((await waiting).status).toBe(401);
    await eventually(async () => (await one.api.job(job.id)).status === 'pending', Boolean, WITHIN_MS);
  } finally {
    clock.mockRestore();
    two.app.loops.credentials.start();
  }
});

test('a wait and a stream of events end with their key', async () => {
  const { id, key } = await make('viewer');
  const job = await one.api.create({ type: uniqueType() });
  const waiting = two.api.as(key).get(`/jobs/${job.id}/wait?waitMs=50000`);
  const stream = await RawSocket.open(two.url);
  stream.say(`GET /events HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer ${key}\r\n\r\n`);
  await eventually(() => stream.heard.includes('event: ready'));
  expectStatus(await one.api.delete(`/api-keys/${id}`), 200);
  expect((await waiting).status).toBe(401);
  await eventually(() => stream.heard.endsWith('0\r\n\r\n'), Boolean, WITHIN_MS);
  stream.end();
});

test('a token ends at its time, and one look serves all that wait with one key', async () => {
  let asked = 0;
  const credentialWatch = new CredentialWatch({
    query: <Row>() => Promise.resolve(((asked += 1), [{ kind: 'key', hash: 'good' }]) as Row[]),
  });
  const ended: string[] = [];
  const watch = (name: string, credential: Parameters<CredentialWatch['watch']>[0]) =>
    credentialWatch.watch(credential, () => ended.push(name));
  const soon = { kind: 'token' as const, endsAt: Date.now() - 1 };
  watch('token', soon);
  watch('later', { kind: 'token', endsAt: Date.now() + 60_000 });
  const unwatch = watch('good', { kind: 'key', hash: 'good' });
  watch('good too', { kind: 'key', hash: 'good' });
  watch('revoked', { kind: 'key', hash: 'revoked' });
  expect(credentialWatch.isGood(soon)).toBe(false);
  await credentialWatch.check();
  expect([ended.sort(), asked]).toEqual([['revoked', 'token'], 1]);
  unwatch();
  expect(credentialWatch.isGood({ kind: 'key', hash: 'good' })).toBe(true);
  expect(await credentialWatch.isGood({ kind: 'key', hash: 'revoked' })).toBe(false);
  expect(credentialWatch.size).toBe(2);
});
