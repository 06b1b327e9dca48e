import { randomUUID } from 'node:crypto';
import type { CallbackSecret, Delivery } from '@baton/runner-sdk/protocol';
import { type Api, expectStatus } from '../support/api';
import { eventually } from '../support/eventually';
import { jobIn, type State, uniqueType } from '../support/factory';
import { isSignedWith, verify } from '../support/receiver';
import { WebhookStage } from './stage';

// A job's callbackUrl is told once the job has finished, however it finished.

let stage: WebhookStage;
let ann: Api;
beforeAll(async () => {
  stage = await WebhookStage.open();
  ann = stage.api.as(await stage.api.makeKey({ name: 'ann', role: 'user', userId: 'ann' }));
});
afterEach(() => stage.closeReceivers());
afterAll(() => stage.close());

const secretOf = async (api: Api) => expectStatus(await api.get<CallbackSecret>('/callback-secret'), 200);
const callbacks = async (jobId: string) =>
  expectStatus(await stage.api.get<{ items: Delivery[] }>(`/jobs/${jobId}/callbacks`), 200).items;
const jobTo = (state: State, callbackUrl: string) =>
  jobIn(state, { ...stage.one, sql: stage.cluster.sql }, { callbackUrl });

describe('a callback', () => {
  test.each<[State, string]>([
    ['completed', 'job.completed'],
    ['failed', 'job.failed'],
    ['cancelled', 'job.cancelled'],
    ['expired', 'job.cancelled'],
  ])('tells that its job is %s', async (state, event) => {
    const receiver = await stage.receiver();
    const { job } = await jobTo(state, receiver.url('/done'));
    expect(job.callbackUrl).toBe(receiver.url('/done'));
    const [received] = await receiver.got(1);
    expect(received?.path).toBe('/done');
    expect(received?.body).toMatchObject({ type: event, data: { jobId: job.id, type: job.type, status: job.status } });
    const { secret } = await secretOf(stage.api);
    if (received !== undefined) expect(verify(received, secret)).toEqual(received.body);
    const [delivery] = await eventually(
      () => callbacks(job.id),
      ([one]) => one?.status === 'delivered',
    );
    expect(delivery).toMatchObject({ webhookId: null, event, jobId: job.id, attempts: 1, url: receiver.url('/done') });
    expect(receiver.received).toHaveLength(1);
  });

  test('is silent while its job waits, runs and is tried again', async () => {
    const receiver = await stage.receiver();
    for (const state of ['pending', 'running', 'retrying', 'released'] as const) await jobTo(state, receiver.url());
    const { job } = await jobTo('completed', receiver.url());
    await receiver.got(1);
    expect(receiver.received.map(({ body }) => body.data['jobId'])).toEqual([job.id]);
    expect(
      await stage.cluster.sql.count("events WHERE name NOT IN ('job.completed', 'job.failed', 'job.cancelled')"),
    ).toBe(0);
  });

  test('costs jobs without one nothing: no event of theirs is written', async () => {
    const receiver = await stage.receiver();
    await jobTo('completed', receiver.url());
    const before = await stage.cluster.sql.count('events');
    await jobIn('completed', { ...stage.one, sql: stage.cluster.sql });
    expect(await stage.cluster.sql.count('events')).toBe(before);
  });

  test('is signed with the secret of whoever created the job, not of whom it belongs to', async () => {
    const receiver = await stage.receiver();
    const type = uniqueType();
    const [byAnn, forAnn] = [
      await ann.create({ type, callbackUrl: receiver.url() }),
      await stage.api.create({ type, userId: 'ann', callbackUrl: receiver.url() }),
    ];
    for (const job of await stage.api.claim({ runnerId: 'r', types: [type], max: 2 })) await stage.api.complete(job);
    const received = await receiver.got(2);
    const [anns, ours] = [await secretOf(ann), await secretOf(stage.api)];
    expect([anns.userId, ours.userId, anns.secret === ours.secret]).toEqual(['ann', null, false]);
    const signer = (jobId: string) =>
      received
        .filter(({ body }) => body.data['jobId'] === jobId)
        .map((one) => [isSignedWith(one, anns.secret), isSignedWith(one, ours.secret)]);
    expect([signer(byAnn.id), signer(forAnn.id)]).toEqual([[[true, false]], [[false, true]]]);
  });

  test('is signed with the old secret too, for as long as a rotation says', async () => {
    const receiver = await stage.receiver();
    const old = await secretOf(ann);
    const rotated = expectStatus(await ann.post<CallbackSecret>('/callback-secret/rotate', { graceMs: 60_000 }), 200);
    expect(await secretOf(ann)).toEqual(rotated);
    const type = uniqueType();
    await ann.create({ type, callbackUrl: receiver.url() });
    await stage.api.complete(await stage.api.claimOne({ runnerId: 'r', types: [type] }));
    const [received] = await receiver.got(1);
    if (received === undefined) throw new Error('nothing came');
    expect([isSignedWith(received, old.secret), isSignedWith(received, rotated.secret)]).toEqual([true, true]);
    expect((await secretOf(stage.api)).secret).not.toBe(rotated.secret);
  });

  test('is sent again by hand', async () => {
    const receiver = await stage.receiver();
    const { job } = await jobTo('completed', receiver.url());
    await eventually(
      () => callbacks(job.id),
      ([one]) => one?.status === 'delivered',
    );
    expectStatus(await stage.api.post(`/jobs/${job.id}/callbacks/resend`), 202);
    const [first, again] = await receiver.got(2);
    expect(again?.headers['webhook-id']).toBe(first?.headers['webhook-id']);
    expect(
      await stage.api.refusal('post', `/jobs/${(await stage.api.create({ type: uniqueType() })).id}/callbacks/resend`),
    ).toEqual([404, 'not_found']);
  });

  test('comes again when its job was retried by hand, under an id of its own', async () => {
    const receiver = await stage.receiver();
    const { job } = await jobTo('cancelled', receiver.url());
    await receiver.got(1);
    expectStatus(await stage.api.post(`/jobs/${job.id}/retry`), 200);
    await stage.api.complete(await stage.api.claimOne({ runnerId: 'r', types: [job.type] }));
    const received = await receiver.got(2);
    expect(received.map(({ body }) => body.type)).toEqual(['job.cancelled', 'job.completed']);
    expect(new Set(received.map(({ headers }) => headers['webhook-id'])).size).toBe(2);
  });

  test.each(['https://10.0.0.1/', 'http://hooks.example.com/', 'nowhere', 'https://a:b@hooks.example.com/', 7])(
    'to %s is refused with the job, alone and in a list',
    async (callbackUrl) => {
      const type = uniqueType();
      const one = await stage.api.post<{ errors: { path: string }[] }>('/jobs', { type, callbackUrl });
      expect([one.status, one.body.errors[0]?.path]).toEqual([400, 'callbackUrl']);
      const list = await stage.api.post<{ errors: { path: string }[] }>('/jobs/bulk', {
        jobs: [{ type }, { type, callbackUrl }],
      });
      expect([list.status, list.body.errors[0]?.path]).toEqual([400, 'jobs.1.callbackUrl']);
      const judged = await stage.api.post<{ jobs: { code?: string }[] }>('/jobs/bulk', {
        atomic: false,
        jobs: [{ type }, { type, callbackUrl }],
      });
      expect(judged.body.jobs.map(({ code }) => code)).toEqual([undefined, 'validation_failed']);
      expect(await stage.cluster.sql.count('jobs WHERE type = $1', [type])).toBe(1);
    },
  );

  test('of another user’s job answers like none', async () => {
    const { job } = await jobTo('completed', 'https://127.0.0.1:9/');
    for (const id of [job.id, randomUUID()]) {
      expect(await ann.refusal('get', `/jobs/${id}/callbacks`)).toEqual([404, 'not_found']);
      expect(await ann.refusal('post', `/jobs/${id}/callbacks/resend`)).toEqual([404, 'not_found']);
    }
  });
});
