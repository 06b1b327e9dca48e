import type { Context } from '../../context';
import { BatonError } from '../../errors';
import * as views from '../../store/views/webhook-deliveries';
import * as store from '../../store/webhook-deliveries';
import * as webhooks from '../../store/webhooks';
import { record } from '../audit/record';
import { type Actor, type Caller, visibleUser } from '../auth/caller';
import { webhookDelivery } from './fan-out';

const TEST = 'webhook.test';
/** Most tests that may wait for one webhook. */
const MOST_TESTS = 5;

/** @throws {BatonError} `not_found`, also for another user's webhook */
export async function findWebhook(context: Context, caller: Caller, id: string): Promise<webhooks.WebhookRow> {
  const row = await webhooks.get(context.db, visibleUser(caller), id);
  if (row === null) throw new BatonError('not_found', `There is no webhook with id ${id}.`);
  return row;
}

/**
 * Sends an event `webhook.test` in the same way as others.
 * @throws {BatonError} `not_found`; `state_conflict`; `rate_limited`
 */
export async function testWebhook(context: Context, caller: Caller, by: Actor, id: string): Promise<store.DeliveryRow> {
  const webhook = await enabledWebhook(context, caller, id);
  if ((await store.countPending(context.db, id, TEST)) >= MOST_TESTS)
    throw new BatonError('rate_limited', `${MOST_TESTS} tests wait to be sent to this webhook already.`, {
      retryAfterMs: 10_000,
    });
  const delivery = webhookDelivery(webhook, { name: TEST, data: { webhookId: id }, jobId: null });
  const deliveryId = await context.db.transaction(async (transaction) => {
    const [made = ''] = await store.insert(transaction, [delivery]);
    await record(transaction, by, [{ action: 'webhook.tested', target: id, details: { deliveryId: made } }]);
    return made;
  });
  return findDelivery(context, id, deliveryId);
}

/**
 * Sends an ended delivery again, under its id.
 * @throws {BatonError} `not_found`; `state_conflict` while it has not ended
 */
export async function resendDelivery(
  context: Context,
  caller: Caller,
  by: Actor,
  id: string,
  deliveryId: string,
): Promise<store.DeliveryRow> {
  await enabledWebhook(context, caller, id);
  await resend(context, by, await findDelivery(context, id, deliveryId));
  return findDelivery(context, id, deliveryId);
}

/**
 * Sends the last callback of a job again.
 * @throws {BatonError} `not_found` when there is none; `state_conflict` while it has not ended
 */
export async function resendCallback(context: Context, by: Actor, jobId: string): Promise<store.DeliveryRow> {
  const last = async () => (await views.page(context.db, { jobId }, null, null, 1))[0];
  const delivery = await last();
  if (delivery === undefined)
    throw new BatonError('not_found', `The job ${jobId} has no callback that was sent, or it is not kept any more.`);
  await resend(context, by, delivery);
  return (await last()) ?? delivery;
}

async function resend(context: Context, by: Actor, delivery: store.DeliveryRow): Promise<void> {
  await context.db.transaction(async (transaction) => {
    if (!(await store.resend(transaction, delivery.id)))
      throw new BatonError('state_conflict', 'The delivery is not over; it is sent anyway.');
    await record(transaction, by, [
      {
        action: 'delivery.resent',
        target: delivery.id,
        details: { webhookId: delivery.webhookId, jobId: delivery.jobId },
      },
    ]);
  });
}

async function enabledWebhook(context: Context, caller: Caller, id: string): Promise<webhooks.WebhookRow> {
  const webhook = await findWebhook(context, caller, id);
  if (webhook.disabledAt !== null)
    throw new BatonError(
      'state_conflict',
      'The webhook is disabled; enable it first, with PATCH and {"enabled": true}.',
    );
  return webhook;
}

async function findDelivery(context: Context, webhookId: string, id: string): Promise<store.DeliveryRow> {
  const row = await store.get(context.db, webhookId, id);
  if (row === null)
    throw new BatonError('not_found', `The webhook has no delivery with id ${id}; it may not be kept any more.`);
  return row;
}
