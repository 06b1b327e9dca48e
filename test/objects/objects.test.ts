import { createHash, randomUUID } from 'node:crypto';
import { type BatonError, Client, type Job, Runner } from '@baton/runner-sdk';
import type { ObjectDownload, ObjectReference, ObjectUpload } from '@baton/runner-sdk/protocol';
import { collectObjects } from '../../coordinator/domain/objects/collect';
import { keepUses } from '../../coordinator/store/objects/uses';
import { ACCESS_KEY, S3Server, SECRET_KEY } from '../kit/s3-server';
import { expectStatus } from '../support/api';
import { startCoordinator } from '../support/coordinator';
import { uniqueType } from '../support/factory';

// Arguments and results that are too large for a job, in a store that checks signatures by arithmetic of its own.

let s3: S3Server;
let coordinator: Awaited<ReturnType<typeof startCoordinator>>;
let client: Client;
let runner: Runner | null = null;
const big = { text: 'ä'.repeat(200_000) };

beforeAll(async () => {
  s3 = new S3Server();
  const endpoint = await s3.listen();
  const objects = {
    ...{ bucket: 'jobs', prefix: 'baton/', region: 'eu-central-1', endpoint, signedMs: 60_000, maxBytes: 5_000_000 },
    ...{ accessKeyId: ACCESS_KEY, secretAccessKey: SECRET_KEY },
  };
  coordinator = await startCoordinator({ objects });
  await coordinator.app.loops.objects.stop();
  client = new Client({ coordinatorUrl: coordinator.url, apiKey: coordinator.adminKey, proxy: false });
});
beforeEach(() => s3.faults.splice(0));
afterEach(async () => {
  await runner?.stop();
  runner = null;
});
afterAll(async () => {
  await client.close();
  await coordinator.stop();
  s3.close();
});

async function handle(
  type: string,
  handler: (args: never, job: { resultOf(key: string): Promise<unknown> }) => unknown,
) {
  runner = new Runner({ coordinatorUrl: coordinator.url, apiKey: coordinator.adminKey, proxy: false, concurrency: 1 });
  runner.handle(type, handler as never);
  await runner.start();
}

const referenceIn = (value: unknown) => (value as ObjectReference).$object;
const fast = { retry: { strategy: 'fixed', baseMs: 0 }, maxAttempts: 1 } as const;
const age = () => coordinator.sql.query("UPDATE objects SET used_at = used_at - interval '2 hours'");
const ageUses = () => coordinator.sql.query("UPDATE object_uses SET checked_at = now() - interval '2 hours'");
const collect = () => collectObjects(coordinator.app.context);
const isStored = (id: string) => s3.objects.has(`jobs/baton/${id}`);

it('hands large arguments to the handler, and a large result to whoever waits', async () => {
  const type = uniqueType();
  await handle(type, ({ text }: { text: string }) => ({ text: text.toUpperCase() }));
  const job = await client.create(type, big);
  expect(job.arguments).toEqual({
    $object: { id: expect.any(String), url: expect.any(String), sha256: expect.any(String), bytes: 400_011 },
  });
  expect(await client.wait(job)).toEqual({ text: 'Ä'.repeat(200_000) });
  const done = await client.get(job.id);
  expect(referenceIn(done.result).bytes).toBe(400_011);
  expect(await client.read(done.arguments)).toEqual(big);
  expect(await client.read({ small: 1 })).toEqual({ small: 1 });
});

it('takes them from every way to create jobs, and hands large results on', async () => {
  const [many, each] = [uniqueType(), uniqueType()];
  const [one, small] = await client.createMany(many, [big, { text: 'small' }]);
  const [other] = await client.createEach([{ type: each, arguments: big, tags: ['x'] }]);
  expect(await client.read(one?.arguments)).toEqual(big);
  expect(small?.arguments).toEqual({ text: 'small' });
  expect((other as Job).tags).toEqual(['x']);
  expect(await client.read((other as Job).arguments)).toEqual(big);
  const type = uniqueType();
  const parent = await client.create(type, { is: 'parent' });
  const child = await client.create(type, { is: 'child', of: parent.id }, { dependsOn: [parent.id] });
  await handle(type, async ({ of }: { of?: string }, { resultOf }) =>
    of === undefined ? big : ((await resultOf(of)) as typeof big).text.length,
  );
  expect(await client.wait(child)).toBe(200_000);
});

it('takes the same content again as the same request', async () => {
  const type = uniqueType();
  const idempotencyKey = randomUUID();
  const first = await client.create(type, big, { idempotencyKey });
  expect((await client.create(type, big, { idempotencyKey })).id).toBe(first.id);
  const other = client.create(type, { text: `${big.text}!` }, { idempotencyKey });
  await expect(other).rejects.toMatchObject({ code: 'idempotency_conflict' } satisfies Partial<BatonError>);
});

it('refuses content that is damaged, and repeats what the store refuses for a moment', async () => {
  const type = uniqueType();
  s3.faults.push({ method: 'PUT', status: 503 }, { method: 'GET', status: 500 });
  const job = await client.create(type, big, fast);
  const key = `jobs/baton/${referenceIn(job.arguments).id}`;
  await handle(type, ({ text }: { text: string }) => text.length);
  expect(await client.wait(job)).toBe(200_000);
  const stored = s3.objects.get(key);
  const damaged = await client.create(type, big, { ...fast, delayMs: 600_000 });
  const place = `jobs/baton/${referenceIn(damaged.arguments).id}`;
  if (stored !== undefined) s3.objects.set(place, { ...stored, content: Buffer.from('{"text":"else"}') });
  await client.runNow(damaged.id);
  await expect(client.wait(damaged)).rejects.toThrow('hash');
});

it('can be used with curl alone', async () => {
  const content = JSON.stringify(big);
  const sha256 = createHash('sha256').update(content).digest('hex');
  const asked = { sha256, bytes: Buffer.byteLength(content) };
  const { reference, upload } = expectStatus(await coordinator.api.post<ObjectUpload>('/objects', asked), 201);
  const { url, headers } = upload;
  // Only this content is taken there.
  expect((await fetch(url, { method: 'PUT', body: 'else', headers })).status).toBe(400);
  expect((await fetch(url, { method: 'PUT', body: content })).status).toBe(403);
  expect((await fetch(url, { method: 'PUT', body: content, headers })).status).toBe(200);
  const job = await coordinator.api.create({ type: uniqueType(), arguments: reference });
  expect(job.arguments).toEqual(reference);
  const path = referenceIn(job.arguments).url;
  const signed = expectStatus(await coordinator.api.get<ObjectDownload>(path), 200);
  expect(await (await fetch(signed.url)).json()).toEqual(big);
});

it('refuses what is no reference, and objects that are not there or are of others', async () => {
  const post = (value: unknown) => coordinator.api.refusal('post', '/jobs', { type: 'a', arguments: value });
  expect(await post({ $object: 'x' })).toEqual([400, 'validation_failed']);
  const unknown = { id: randomUUID(), url: '/objects/x', sha256: 'a'.repeat(64), bytes: 5 };
  expect(await post({ $object: unknown })).toEqual([400, 'validation_failed']);
  expect(await coordinator.api.refusal('post', '/objects', { sha256: 'a'.repeat(64), bytes: 5_000_001 })).toEqual([
    413,
    'payload_too_large',
  ]);
  const ann = coordinator.api.as(await coordinator.api.makeKey({ name: 'ann', role: 'user', userId: 'ann' }));
  const { reference } = expectStatus(
    await coordinator.api.post<ObjectUpload>('/objects', { sha256: 'a'.repeat(64), bytes: 5 }),
    201,
  );
  expect(await ann.refusal('post', '/jobs', { type: 'a', arguments: reference })).toEqual([400, 'validation_failed']);
  expect(await ann.refusal('get', `/objects/${reference.$object.id}`)).toEqual([404, 'not_found']);
  // A job that is Ann's shows her what it names.
  await coordinator.api.create({ type: 'a', arguments: reference, userId: 'ann' });
  expectStatus(await ann.get(`/objects/${reference.$object.id}`), 200);
});

describe('retention', () => {
  const expire = async (job: Job) => {
    if (job.status !== 'cancelled') await client.cancel(job.id);
    await client.delete(job.id);
  };

  it('deletes objects of jobs that are gone, an hour after they were last named', async () => {
    const job = await client.create(uniqueType(), big);
    const { id } = referenceIn(job.arguments);
    await age();
    await ageUses();
    await collect();
    expect(isStored(id)).toBe(true);
    await expire(job);
    await collect();
    expect(isStored(id)).toBe(true);
    await ageUses();
    await coordinator.sql.query('UPDATE objects SET used_at = now() WHERE id = $1', [id]);
    await collect();
    expect(isStored(id)).toBe(true);
    await age();
    await collect();
    expect(isStored(id)).toBe(false);
    expect(await coordinator.sql.count('objects WHERE id = $1', [id])).toBe(0);
  });

  it('keeps one that several jobs name until the last is gone, also one that took it over', async () => {
    const type = uniqueType();
    const first = await client.create(type, big);
    const waiting = await client.create(type, { small: 1 }, { uniqueKey: 'one' });
    const replaced = await client.create(type, first.arguments, { uniqueKey: 'one', onConflict: 'replace' });
    expect([replaced.id, replaced.arguments]).toEqual([waiting.id, first.arguments]);
    const { id } = referenceIn(first.arguments);
    await expire(first);
    await age();
    await ageUses();
    await collect();
    expect(isStored(id)).toBe(true);
    await expire(replaced);
    await ageUses();
    await collect();
    expect(isStored(id)).toBe(false);
  });

  it('tries again what the store did not delete, and lets no job name it meanwhile', async () => {
    const job = await client.create(uniqueType(), big);
    const { id } = referenceIn(job.arguments);
    await expire(job);
    await age();
    await ageUses();
    s3.faults.push({ method: 'DELETE', status: 503 });
    await collect();
    expect(isStored(id)).toBe(true);
    const again = { type: uniqueType(), arguments: job.arguments };
    expect(await coordinator.api.refusal('post', '/jobs', again)).toEqual([400, 'validation_failed']);
    await coordinator.sql.query("UPDATE objects SET deleting_at = now() - interval '10 minutes' WHERE id = $1", [id]);
    await collect();
    expect(isStored(id)).toBe(false);
  });

  it('does not take what a job has just named', async () => {
    const job = await client.create(uniqueType(), big);
    const { id } = referenceIn(job.arguments);
    await expire(job);
    await age();
    await ageUses();
    // Named, but not committed: whoever collects passes over the locked row.
    const session = await coordinator.sql.session();
    await session.begin();
    const named = await keepUses(session, [{ objectId: id, jobId: randomUUID(), ownUser: null }]);
    expect(named.size).toBe(1);
    await collect();
    await session.commit();
    await session.end();
    await collect();
    expect(isStored(id)).toBe(true);
  });
});

it('leaves large arguments to the limit when there is no store', async () => {
  const plain = await startCoordinator();
  const other = new Client({ coordinatorUrl: plain.url, apiKey: plain.adminKey, proxy: false });
  await expect(other.create(uniqueType(), big)).rejects.toMatchObject({ code: 'payload_too_large' });
  expect((await other.create(uniqueType(), { $object: 'mine' })).arguments).toEqual({ $object: 'mine' });
  await other.close();
  await plain.stop();
});
