import { randomUUID } from 'node:crypto';
import type { Context } from '../../coordinator/context';
import { pendingWorkLoop } from '../../coordinator/loops/pending-work';
import { Loop } from '../../coordinator/loops/loop';
import type { Alert, BulkOperation, CreatedWebhook } from '@baton/runner-sdk/protocol';
import { expectStatus } from '../support/api';
import { startCoordinator } from '../support/coordinator';
import { eventually } from '../support/eventually';
import { uniqueType } from '../support/factory';

// Work in the tables that nobody was notified of is done soon, though the loops that do it run every 30 s by
// themselves.

let coordinator: Awaited<ReturnType<typeof startCoordinator>>;
beforeAll(async () => (coordinator = await startCoordinator()));
afterAll(() => coordinator.stop());

const query = <Row extends object>(text: string, values: unknown[] = []) => coordinator.sql.query<Row>(text, values);
const isTrue = async (condition: string, id: string): Promise<boolean> =>
  (await query(`SELECT FROM ${condition}`, [id])).length > 0;

test('a delivery', async () => {
  const id = randomUUID();
  await query(
    `INSERT INTO webhook_deliveries (id, url, endpoint, name, at, data, status, next_at, created_at)
    VALUES ($1, 'http://127.0.0.1:9/', 'callback::http://127.0.0.1:9', 'job.completed', now(), '{}', 'pending', now(), now())`,
    [id],
  );
  await eventually(() => isTrue('webhook_deliveries WHERE id = $1 AND attempts > 0', id));
});

test('a bulk operation', async () => {
  const type = uniqueType();
  await coordinator.api.create({ type });
  const { id } = expectStatus(
    await coordinator.api.post<BulkOperation>('/jobs/cancel', { filter: { type }, background: true }),
    202,
  );
  await eventually(() => isTrue('bulk_operations WHERE id = $1 AND finished_at IS NOT NULL', id));
});

test('an alert', async () => {
  const { id } = expectStatus(
    await coordinator.api.post<Alert>('/alerts', { name: uniqueType('alert'), measure: 'depth', threshold: 1000 }),
    201,
  );
  await eventually(() => isTrue('alerts WHERE id = $1 AND evaluated_at IS NOT NULL', id));
});

test('an event, and then its delivery', async () => {
  const type = uniqueType();
  const { id } = expectStatus(
    await coordinator.api.post<CreatedWebhook>('/webhooks', {
      url: 'https://receiver.example/',
      events: ['job.created'],
      filter: { type },
    }),
    201,
  );
  const job = await coordinator.api.create({ type, delayMs: 3_600_000 });
  await eventually(() => isTrue('webhook_deliveries WHERE webhook_id = $1', id));
  await query('DELETE FROM webhook_deliveries WHERE webhook_id = $1', [id]);
  await query(
    `INSERT INTO events (at, name, job_id, type, queue, status, attempt)
    VALUES (now(), 'job.created', $1, $2, 'default', 'pending', 0)`,
    [job.id, type],
  );
  await eventually(() => isTrue('webhook_deliveries WHERE webhook_id = $1', id));
});

test('all of it is looked for, when one table cannot be asked', async () => {
  const { context } = coordinator.app;
  const woken: string[] = [];
  const loopOf = (name: string): Loop =>
    new Loop({
      ...{ name, intervalMs: 3_600_000, log: context.log },
      round: async () => {
        woken.push(name);
        return false;
      },
    });
  const loops = {
    bulk: loopOf('bulk'),
    settle: loopOf('settle'),
    alerts: loopOf('alerts'),
    schedules: loopOf('schedules'),
    outbox: loopOf('outbox'),
    deliveries: loopOf('deliveries'),
  };
  for (const loop of Object.values(loops)) loop.start();
  const count = Object.keys(loops).length;
  await eventually(() => woken.length === count);
  const db = {
    query: () => Promise.reject(new Error('canceling statement due to lock timeout')),
  } as unknown as Context['db'];
  await pendingWorkLoop({ ...context, db }, loops).runOnce();
  await eventually(() => woken.length === 2 * count);
  for (const loop of Object.values(loops)) await loop.stop();
});
