import { expectStatus } from '../support/api';
import { jobIn, uniqueType } from '../support/factory';
import { HANG, isSignedWith, OK, RESET, status, verify } from '../support/receiver';
import { WebhookStage } from './stage';

// What happens to jobs reaches those who asked for it, signed and retried, over real HTTP.

let stage: WebhookStage;
beforeAll(async () => (stage = await WebhookStage.open(2)));
afterEach(() => stage.closeReceivers());
afterAll(() => stage.close());

const finish = (type: string) => jobIn('completed', { ...stage.one, sql: stage.cluster.sql }, { type });

describe('a webhook', () => {
  test('is told what it asked for, whichever coordinator it happens on, signed as Standard Webhooks says', async () => {
    const receiver = await stage.receiver();
    const type = uniqueType();
    const { secret, id } = await stage.webhook(receiver, {
      filter: { type },
      events: ['job.created', 'job.completed', 'job.failed'],
    });
    const jobs = await Promise.all(
      stage.cluster.coordinators.map(
        async (coordinator) =>
          (await jobIn('completed', { ...coordinator, sql: stage.cluster.sql }, { type, tags: ['a'] })).job,
      ),
    );
    await finish(uniqueType());
    const completed = await receiver.got(2, 'job.completed');
    expect(completed.map(({ body }) => body.data['jobId']).sort()).toEqual(jobs.map((job) => job.id).sort());
    expect(completed[0]?.body.data).toMatchObject({
      type,
      queue: 'default',
      userId: null,
      status: 'completed',
      attempt: 1,
      details: null,
    });
    await receiver.got(2, 'job.created');
    const all = await stage.delivered(
      id,
      (list) => list.length === 4 && list.every((one) => one.status === 'delivered'),
    );
    expect(receiver.received).toHaveLength(4);
    for (const received of receiver.received) {
      expect(verify(received, secret)).toEqual(received.body);
      expect(received.headers).toMatchObject({
        'content-type': 'application/json',
        'webhook-signature': expect.stringMatching(/^v1,\S+$/) as string,
      });
      expect(Date.parse(received.body.timestamp)).toBeGreaterThan(0);
    }
    expect(receiver.received.map(({ headers }) => headers['webhook-id']).sort()).toEqual(
      all.map((one) => one.id).sort(),
    );
    expect(all[0]).toMatchObject({
      webhookId: id,
      url: receiver.url(),
      attempts: 1,
      responseStatus: 204,
      error: null,
      nextAt: null,
    });
  });

  test('that is forged, altered or replayed later is refused by the receiver', async () => {
    const receiver = await stage.receiver();
    const type = uniqueType();
    const { secret } = await stage.webhook(receiver, { filter: { type } });
    const { secret: other } = await stage.webhook(receiver, { filter: { type: uniqueType() } });
    await finish(type);
    const [received] = await receiver.got(1);
    if (received === undefined) throw new Error('nothing came');
    expect(isSignedWith(received, secret)).toBe(true);
    expect(isSignedWith(received, other)).toBe(false);
    expect(isSignedWith({ ...received, text: received.text.replace('completed', 'cancelled') }, secret)).toBe(false);
    expect(isSignedWith({ ...received, headers: { ...received.headers, 'webhook-id': 'another' } }, secret)).toBe(
      false,
    );
    const old = String(Number(received.headers['webhook-timestamp']) - 600);
    expect(isSignedWith({ ...received, headers: { ...received.headers, 'webhook-timestamp': old } }, secret)).toBe(
      false,
    );
  });

  test('goes on with the same id and body until it was taken, whatever goes wrong', async () => {
    const troubles = [
      status(500),
      RESET,
      status(302, { location: 'http://127.0.0.1:9/' }),
      status(429, { 'retry-after': '600' }),
      OK,
    ];
    const receiver = await stage.receiver((response, nth) => troubles[nth - 1]?.(response, nth));
    const type = uniqueType();
    const { id, secret } = await stage.webhook(receiver, { filter: { type } });
    await finish(type);
    const faults = [/answered 500/, /closed|reset/, /302; redirects are not followed/, /answered 429/];
    const waits: number[] = [];
    for (const [index, fault] of faults.entries()) {
      const [delivery] = await stage.delivered(id, ([one]) => one?.attempts === index + 1 && one.nextAt !== null);
      expect(delivery).toMatchObject({ status: 'pending', error: expect.stringMatching(fault) as string });
      waits.push(Date.parse(delivery?.nextAt ?? '') - Date.parse(delivery?.attemptedAt ?? ''));
      await stage.makeDue();
    }
    const [delivery] = await stage.delivered(id, ([one]) => one?.status === 'delivered');
    expect(delivery).toMatchObject({ attempts: 5, responseStatus: 204, error: null });
    expect(new Set(receiver.received.map(({ headers, text }) => `${String(headers['webhook-id'])} ${text}`)).size).toBe(
      1,
    );
    for (const received of receiver.received) verify(received, secret);
    // Each wait is at least its step of the backoff; the wish of the last answer is longer than that.
    [5000, 15_000, 45_000, 600_000].forEach((least, index) => expect(waits[index]).toBeGreaterThanOrEqual(least));
    expect(waits[2]).toBeLessThan(100_000);
  });

  test('is disabled at once when it answers 410, and takes nothing until it is enabled again', async () => {
    const receiver = await stage.receiver(status(410));
    const type = uniqueType();
    const { id } = await stage.webhook(receiver, { filter: { type } });
    await finish(type);
    const [delivery] = await stage.delivered(id, ([one]) => one?.status === 'failed');
    expect(delivery).toMatchObject({ attempts: 1, responseStatus: 410 });
    const gone = expectStatus(await stage.api.get(`/webhooks/${id}`), 200);
    expect(gone).toMatchObject({ enabled: false, disabledReason: 'gone', disabledAt: expect.any(String) as string });
    await finish(type);
    expect(await stage.api.refusal('post', `/webhooks/${id}/test`)).toEqual([409, 'state_conflict']);
    receiver.behaviour = OK;
    expect(expectStatus(await stage.api.patch(`/webhooks/${id}`, { enabled: true }), 200)).toMatchObject({
      enabled: true,
      disabledReason: null,
      failingSince: null,
    });
    const { job } = await finish(type);
    const [, second] = await receiver.got(2);
    expect(second?.body.data['jobId']).toBe(job.id);
    expect(receiver.received).toHaveLength(2);
  });

  test('is sent again by hand under the same id', async () => {
    const receiver = await stage.receiver();
    const { id, secret } = await stage.webhook(receiver);
    const { id: deliveryId } = expectStatus(await stage.api.post<{ id: string }>(`/webhooks/${id}/test`), 202);
    await stage.delivered(id, ([one]) => one?.status === 'delivered');
    const resend = `/webhooks/${id}/deliveries/${deliveryId}/resend`;
    expectStatus(await stage.api.post(resend), 202);
    const [first, again] = await receiver.got(2, 'webhook.test');
    expect([first?.headers['webhook-id'], again?.headers['webhook-id']]).toEqual([deliveryId, deliveryId]);
    expect(again?.body).toEqual(first?.body);
    if (again !== undefined) verify(again, secret);
    expect(await stage.delivered(id, ([one]) => one?.status === 'delivered' && one.attempts === 2)).toHaveLength(1);
    receiver.behaviour = HANG;
    expectStatus(await stage.api.post(resend), 202);
    expect(await stage.api.refusal('post', resend)).toEqual([409, 'state_conflict']);
  });

  test('whose secret was rotated is signed with both until the grace is over', async () => {
    const receiver = await stage.receiver();
    const { id, secret: first } = await stage.webhook(receiver);
    const rotate = async (graceMs: number) =>
      expectStatus(await stage.api.post<{ secret: string }>(`/webhooks/${id}/rotate`, { graceMs }), 200).secret;
    const signers = async (secrets: string[]) => {
      const before = receiver.received.length;
      expectStatus(await stage.api.post(`/webhooks/${id}/test`), 202);
      const received = (await receiver.got(before + 1)).at(-1);
      return secrets.map((secret) => received !== undefined && isSignedWith(received, secret));
    };
    const second = await rotate(3_600_000);
    expect(new Set([first, second]).size).toBe(2);
    expect(await signers([first, second])).toEqual([true, true]);
    const third = await rotate(0);
    expect(await signers([first, second, third])).toEqual([true, false, true]);
    await stage.cluster.sql.query(
      'UPDATE signing_secrets SET expires_at = now() WHERE webhook_id = $1 AND expires_at IS NOT NULL',
      [id],
    );
    expect(await signers([first, second, third])).toEqual([false, false, true]);
  });
});
