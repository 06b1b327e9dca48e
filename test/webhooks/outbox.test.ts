import { fanOut } from '../../coordinator/domain/webhooks/fan-out';
import { Deliverer, MOST_PER_ENDPOINT } from '../../coordinator/domain/webhooks/deliverer';
import { tidy } from '../../coordinator/domain/webhooks/disable';
import * as store from '../../coordinator/store/webhook-deliveries';
import { prune } from '../../coordinator/store/events';
import type { AuditEntry, Webhook } from '@baton/runner-sdk/protocol';
import { expectStatus } from '../support/api';
import { eventually } from '../support/eventually';
import { jobIn, uniqueType } from '../support/factory';
import { HANG, OK, status } from '../support/receiver';
import { WebhookStage } from './stage';

// From the transition to the receiver nothing is lost, whoever dies where, and nobody stands in another's way.

let stage: WebhookStage;
beforeAll(async () => (stage = await WebhookStage.open(2, { timeoutMs: 2000 })));
afterEach(async () => {
  await stage.cluster.sql.query('DELETE FROM webhooks');
  await stage.closeReceivers();
});
afterAll(() => stage.close());

const coordinators = () => stage.cluster.coordinators;
const sql = () => stage.cluster.sql;

/** The loops of all coordinators rest, so that a test does their work by hand. */
async function withRest(run: () => Promise<void>): Promise<void> {
  const loops = coordinators().flatMap(({ app }) => [app.loops.outbox, app.loops.deliveries]);
  await Promise.all(loops.map((loop) => loop.stop()));
  await run().finally(() => loops.forEach((loop) => loop.start()));
}

describe('the outbox', () => {
  test('holds every transition that begins after the webhook was made, on every coordinator', async () => {
    const receiver = await stage.receiver();
    for (let round = 0; round < 15; round += 1) {
      const type = uniqueType();
      await stage.webhook(receiver, { events: ['job.created'], filter: { type } });
      await Promise.all(coordinators().map(({ api }) => api.create({ type })));
      await eventually(() => receiver.received.filter(({ body }) => body.data['type'] === type).length === 2);
    }
  });

  test('tells a webhook of nothing that was over before it was made, or enabled again', () =>
    withRest(async () => {
      const receiver = await stage.receiver();
      const type = uniqueType();
      const wanted = { events: ['job.created' as const], filter: { type } };
      const [first, second] = [await stage.webhook(receiver, wanted), await stage.webhook(receiver, wanted)];
      await stage.api.patch(`/webhooks/${second.id}`, { enabled: false });
      const before = await stage.api.create({ type });
      const third = await stage.webhook(receiver, wanted);
      await stage.api.patch(`/webhooks/${second.id}`, { enabled: true });
      const after = await stage.api.create({ type });
      while ((await fanOut(stage.one.app.context)).hasMore);
      const told = async ({ id }: { id: string }) => (await stage.deliveries(id)).map(({ jobId }) => jobId).sort();
      expect([await told(first), await told(second), await told(third)]).toEqual([
        [before.id, after.id].sort(),
        [after.id],
        [after.id],
      ]);
    }));

  test('holds only what some webhook wants', async () => {
    const receiver = await stage.receiver();
    const [type, queue] = [uniqueType(), uniqueType('queue')];
    await stage.webhook(receiver, { events: ['job.failed'] });
    await stage.webhook(receiver, { events: ['job.created'], filter: { queue, type } });
    const before = await sql().count('events');
    await jobIn('completed', { ...stage.one, sql: sql() });
    await stage.api.create({ type: uniqueType(), queue });
    await stage.api.create({ type, queue: uniqueType() });
    const job = await stage.api.create({ type, queue });
    const [received] = await receiver.got(1);
    expect(received?.body).toMatchObject({ type: 'job.created', data: { jobId: job.id } });
    // That of the type in another queue is written down too, because one index probe judges no pairs; it is not sent.
    expect(await sql().count('events')).toBe(before + 2);
    expect(receiver.received).toHaveLength(1);
  });

  test('is left alone again once nobody wants anything', async () => {
    const receiver = await stage.receiver();
    const made = [
      await stage.webhook(receiver, { events: ['job.created'] }),
      await stage.webhook(receiver, { events: ['job.created'] }),
    ];
    const isWritten = async () => {
      const before = await sql().count('events');
      await stage.api.create({ type: uniqueType() });
      return (await sql().count('events')) > before;
    };
    expect(await isWritten()).toBe(true);
    await stage.api.delete(`/webhooks/${made[0]?.id}`);
    expect(await isWritten()).toBe(true);
    await stage.api.patch(`/webhooks/${made[1]?.id}`, { enabled: false });
    expect(await isWritten()).toBe(false);
    await stage.api.patch(`/webhooks/${made[1]?.id}`, { enabled: true });
    expect(await isWritten()).toBe(true);
  });

  test('is turned into deliveries once, though several coordinators do it and one is cut off in the middle', () =>
    withRest(async () => {
      const receiver = await stage.receiver();
      const type = uniqueType();
      const { id } = await stage.webhook(receiver, { events: ['job.created'], filter: { type } });
      const jobs = await Promise.all(Array.from({ length: 40 }, () => stage.api.create({ type })));
      // One dies after it has made some deliveries, before its transaction ends.
      await sql().query('ALTER TABLE webhook_outbox ADD CONSTRAINT dies CHECK (position < 0) NOT VALID');
      await expect(fanOut(stage.one.app.context)).rejects.toThrow(/dies/);
      expect(await stage.deliveries(id)).toEqual([]);
      await sql().query('ALTER TABLE webhook_outbox DROP CONSTRAINT dies');
      const made = await Promise.all(
        Array.from({ length: 6 }, (_, index) => fanOut((coordinators()[index % 2] ?? stage.one).app.context)),
      );
      while ((await fanOut(stage.one.app.context)).hasMore);
      expect(made.reduce((sum, one) => sum + one.made, 0)).toBeLessThanOrEqual(40);
      expect((await stage.deliveries(id)).map(({ jobId }) => jobId).sort()).toEqual(jobs.map((job) => job.id).sort());
    }));

  test('keeps what was not turned into deliveries yet, though it is old, but not for ever', () =>
    withRest(async () => {
      const receiver = await stage.receiver();
      const type = uniqueType();
      await stage.webhook(receiver, { events: ['job.created'], filter: { type } });
      await stage.api.create({ type });
      await sql().query("UPDATE events SET at = now() - interval '2 hours' WHERE type = $1", [type]);
      const keep = { keepMs: 3_600_000, mostMs: 3 * 3_600_000 };
      await prune(stage.one.app.context.db, keep, 1000);
      expect(await sql().count('events WHERE type = $1', [type])).toBe(1);
      while ((await fanOut(stage.one.app.context)).hasMore);
      await prune(stage.one.app.context.db, keep, 1000);
      expect(await sql().count('events WHERE type = $1', [type])).toBe(0);
      await stage.api.create({ type });
      await prune(stage.one.app.context.db, { keepMs: 0, mostMs: 0 }, 1000);
      expect(await sql().count('events WHERE type = $1', [type])).toBe(0);
    }));
});

describe('a delivery', () => {
  test('that a dead coordinator had taken is sent by another, and its late word counts no more', () =>
    withRest(async () => {
      const receiver = await stage.receiver();
      const { id } = await stage.webhook(receiver);
      const { id: deliveryId } = expectStatus(await stage.api.post<{ id: string }>(`/webhooks/${id}/test`), 202);
      const [one, two] = coordinators().map(({ app }) => app);
      if (one === undefined || two === undefined) throw new Error('two coordinators are needed');
      const [taken] = await store.claim(one.context.db, [{ endpoint: `webhook:${id}`, room: 1 }], 60_000);
      if (taken === undefined) throw new Error('nothing was taken');
      await two.deliverer.round();
      await two.deliverer.settled();
      expect(receiver.received).toEqual([]);
      await sql().query('UPDATE webhook_deliveries SET next_at = now() WHERE id = $1', [deliveryId]);
      await two.deliverer.round();
      const late = {
        id: taken.id,
        leaseToken: taken.leaseToken,
        status: 'failed' as const,
        delayMs: 0,
        responseStatus: 500,
        error: 'late',
        durationMs: 1,
      };
      await store.report(one.context.db, 1, late);
      await two.deliverer.settled();
      expect(await stage.deliveries(id)).toMatchObject([
        { id: deliveryId, status: 'delivered', attempts: 2, error: null },
      ]);
      await store.report(one.context.db, 1, late);
      expect(await stage.deliveries(id)).toMatchObject([{ status: 'delivered', error: null }]);
      expect(receiver.received.map(({ headers }) => headers['webhook-id'])).toEqual([deliveryId]);
    }));

  test('under way when its coordinator stops is given back, and sent by another', async () => {
    const receiver = await stage.receiver(HANG);
    const { id } = await stage.webhook(receiver);
    await withRest(async () => {
      expectStatus(await stage.api.post(`/webhooks/${id}/test`), 202);
      const leaving = new Deliverer(stage.one.app.context);
      await leaving.round();
      await receiver.got(1);
      receiver.behaviour = OK;
      await leaving.close(0);
      expect(await stage.deliveries(id)).toMatchObject([
        { status: 'pending', attempts: 1, error: null, nextAt: expect.any(String) as string },
      ]);
      expect(await leaving.round()).toBe(false);
    });
    await stage.delivered(id, ([one]) => one?.status === 'delivered' && one.attempts === 2);
  });

  test('to a receiver that hangs keeps none to others waiting, and few connections open', async () => {
    const [slow, quick] = [await stage.receiver(HANG), await stage.receiver()];
    const type = uniqueType();
    const [hung, fine] = [
      await stage.webhook(slow, { events: ['job.created'], filter: { type } }),
      await stage.webhook(quick, { events: ['job.created'], filter: { type } }),
    ];
    await stage.api.post('/jobs/bulk', { jobs: Array.from({ length: 200 }, () => ({ type })) });
    await quick.got(200);
    expect((await stage.deliveries(hung.id)).filter((one) => one.status === 'delivered')).toEqual([]);
    await stage.delivered(fine.id, (all) => all.length === 200 && all.every((one) => one.status === 'delivered'));
    expect(slow.mostOpen).toBeLessThanOrEqual(MOST_PER_ENDPOINT * coordinators().length);
    expect(quick.mostOpen).toBeLessThanOrEqual(MOST_PER_ENDPOINT * coordinators().length);
  });

  test('is kept for a while after its end, and then deleted', async () => {
    const receiver = await stage.receiver();
    const { id } = await stage.webhook(receiver);
    for (let count = 1; count <= 2; count += 1) {
      expectStatus(await stage.api.post(`/webhooks/${id}/test`), 202);
      await stage.delivered(id, (all) => all.length === count && all.every((one) => one.status === 'delivered'));
    }
    const [young, old] = await stage.deliveries(id);
    await sql().query("UPDATE webhook_deliveries SET finished_at = now() - interval '8 days' WHERE id = $1", [old?.id]);
    await tidy(stage.one.app.context);
    expect((await stage.deliveries(id)).map((one) => one.id)).toEqual([young?.id]);
  });

  test('is listed by status and in pages, newest first', async () => {
    const receiver = await stage.receiver((response, nth) => (nth <= 2 ? OK : status(410))(response, nth));
    const { id } = await stage.webhook(receiver);
    for (let count = 1; count <= 3; count += 1) {
      expectStatus(await stage.api.post(`/webhooks/${id}/test`), 202);
      await stage.delivered(id, (all) => all.length === count && all.every((one) => one.finishedAt !== null));
    }
    const all = await stage.deliveries(id);
    expect(all.map((one) => one.status)).toEqual(['failed', 'delivered', 'delivered']);
    expect(await stage.deliveries(id, '&status=delivered')).toEqual(all.slice(1));
    const page = expectStatus(
      await stage.api.get<{ items: unknown[]; nextCursor: string }>(`/webhooks/${id}/deliveries?limit=2`),
      200,
    );
    expect(page.items).toEqual(all.slice(0, 2));
    expect(
      (await stage.api.get<{ items: unknown[] }>(`/webhooks/${id}/deliveries?limit=2&cursor=${page.nextCursor}`)).body
        .items,
    ).toEqual(all.slice(2));
  });
});

describe('a webhook', () => {
  const read = async (id: string) => expectStatus(await stage.api.get<Webhook>(`/webhooks/${id}`), 200);

  test('that failed for long is disabled, with an event, an entry in the audit, and an end to what waits', async () => {
    const [receiver, watcher] = [await stage.receiver(status(500)), await stage.receiver()];
    const { id } = await stage.webhook(receiver);
    await stage.webhook(watcher, { events: ['webhook.disabled'] });
    expectStatus(await stage.api.post(`/webhooks/${id}/test`), 202);
    await stage.delivered(id, ([one]) => one?.attempts === 1 && one.nextAt !== null);
    const { failingSince, enabled } = await read(id);
    expect([typeof failingSince, enabled]).toEqual(['string', true]);
    await sql().query("UPDATE webhooks SET failing_since = now() - interval '6 days' WHERE id = $1", [id]);
    await stage.makeDue();
    await eventually(async () => (await read(id)).disabledReason === 'failing');
    const [told] = await watcher.got(1, 'webhook.disabled');
    expect(told?.body.data).toMatchObject({ webhookId: id, reason: 'failing' });
    const { items } = expectStatus(
      await stage.api.get<{ items: AuditEntry[] }>(`/audit?target=${id}&action=webhook.disabled`),
      200,
    );
    expect(items).toMatchObject([{ by: { name: 'coordinator', role: 'none' }, details: { reason: 'failing' } }]);
    await tidy(stage.one.app.context);
    expect(await stage.deliveries(id)).toMatchObject([{ status: 'failed', error: 'its webhook was disabled' }]);
  });

  test('that takes something again is not failing any more', async () => {
    const receiver = await stage.receiver((response, nth) => (nth === 1 ? status(500) : OK)(response, nth));
    const { id } = await stage.webhook(receiver);
    expectStatus(await stage.api.post(`/webhooks/${id}/test`), 202);
    await stage.delivered(id, ([one]) => one?.attempts === 1 && one.nextAt !== null);
    expect((await read(id)).failingSince).not.toBeNull();
    await stage.makeDue();
    await stage.delivered(id, ([one]) => one?.status === 'delivered');
    expect(await read(id)).toMatchObject({ failingSince: null, enabled: true });
  });

  test('that too much waits for is disabled', () =>
    withRest(async () => {
      const receiver = await stage.receiver();
      const type = uniqueType();
      const { id } = await stage.webhook(receiver, { events: ['job.created'], filter: { type } });
      await stage.api.post('/jobs/bulk', { jobs: Array.from({ length: 11 }, () => ({ type })) });
      while ((await fanOut(stage.one.app.context)).hasMore);
      await tidy(stage.one.app.context, 11);
      expect((await read(id)).enabled).toBe(true);
      await tidy(stage.one.app.context, 10);
      expect(await read(id)).toMatchObject({ enabled: false, disabledReason: 'backlog' });
      expect((await stage.deliveries(id, '&status=failed')).length).toBe(11);
    }));

  test('is given up on after a day of tries', async () => {
    const receiver = await stage.receiver(status(503));
    const { id } = await stage.webhook(receiver);
    expectStatus(await stage.api.post(`/webhooks/${id}/test`), 202);
    await stage.delivered(id, ([one]) => one?.attempts === 1 && one.nextAt !== null);
    await sql().query('UPDATE webhook_deliveries SET failures = 13 WHERE webhook_id = $1', [id]);
    await stage.makeDue();
    await stage.delivered(id, ([one]) => one?.status === 'failed');
    expect(await read(id)).toMatchObject({ enabled: true });
  });
});
