import type { z } from 'zod';
import { assertStrict, PAGE_FIELDS, type Page } from './filters';
import type { Send } from '../transport/transport';
import type {
  CreatedWebhook,
  CreateWebhook,
  Delivery,
  deliveryList,
  DeliveryStatus,
  EditWebhook,
  Webhook,
  webhookList,
} from '../protocol';

export type WebhookPage = z.infer<typeof webhookList>;
export type DeliveryPage = z.infer<typeof deliveryList>;

export class Webhooks {
  constructor(private readonly send: Send) {}

  /** The answer's `secret` is shown only once. Not retried when the answer may have been lost. */
  create(webhook: CreateWebhook): Promise<CreatedWebhook> {
    return this.send({ method: 'POST', path: '/webhooks', body: webhook, repeatable: false });
  }

  list(page: Page = {}): Promise<WebhookPage> {
    return this.send({ method: 'GET', path: '/webhooks', query: page });
  }

  get(id: string): Promise<Webhook> {
    return this.send({ method: 'GET', path: webhookPath(id) });
  }

  edit(id: string, changes: EditWebhook): Promise<Webhook> {
    return this.send({ method: 'PATCH', path: webhookPath(id), body: changes });
  }

  async delete(id: string): Promise<void> {
    await this.send({ method: 'DELETE', path: webhookPath(id) });
  }

  /**
   * Replaces the secret, which is shown only once; deliveries are also signed with the old one for `graceMs` (default
   * one day).
   */
  rotateSecret(id: string, options: { graceMs?: number | undefined } = {}): Promise<CreatedWebhook> {
    return this.send({ method: 'POST', path: webhookPath(id, '/rotate'), body: options, repeatable: false });
  }

  /** Sends `webhook.test`; the returned delivery shows the outcome. */
  test(id: string): Promise<Delivery> {
    return this.send({ method: 'POST', path: webhookPath(id, '/test'), repeatable: false });
  }

  /** One page of its deliveries, newest first. */
  async deliveries(
    id: string,
    filter: { status?: DeliveryStatus | DeliveryStatus[] } & Page = {},
  ): Promise<DeliveryPage> {
    assertStrict('webhooks.deliveries', filter, PAGE_FIELDS);
    return this.send({ method: 'GET', path: webhookPath(id, '/deliveries'), query: filter });
  }

  /** Sends a delivery again. */
  resend(id: string, deliveryId: string): Promise<Delivery> {
    return this.send({
      method: 'POST',
      path: webhookPath(id, `/deliveries/${encodeURIComponent(deliveryId)}/resend`),
    });
  }
}

function webhookPath(id: string, rest = ''): string {
  return `/webhooks/${encodeURIComponent(id)}${rest}`;
}
