import { z } from 'zod';
import { jobEventName, noticeName } from './events';
import { callbackUrl } from './jobs';
import { durationMs, id, listOf, name, page, repeatable, text, timestamp } from './primitives';

/** What a webhook may be told of. Those that are not of jobs are for webhooks of admins alone. */
export const webhookEventName = z.enum([...jobEventName.options, ...noticeName.options]);
export type WebhookEventName = z.infer<typeof webhookEventName>;

/** Several values of one field mean any of them, several fields mean all. Events that are not of jobs pass in any case. */
export const webhookFilter = z.strictObject({
  queue: repeatable(name).optional(),
  type: repeatable(name).optional(),
  /** A webhook of a user hears of this user's jobs only, and takes no other here. */
  userId: repeatable(text(200)).optional(),
});
export type WebhookFilter = z.infer<typeof webhookFilter>;

const webhookFields = {
  /** Where its deliveries are posted to; see `callbackUrl` of a job for what is allowed. */
  url: callbackUrl,
  events: z.array(webhookEventName).min(1).max(webhookEventName.options.length),
  filter: webhookFilter,
  description: text(500).nullable(),
};

export const createWebhook = z.strictObject({
  ...webhookFields,
  filter: webhookFields.filter.default({}),
  description: webhookFields.description.default(null),
});
export type CreateWebhook = z.input<typeof createWebhook>;
export type NewWebhook = z.infer<typeof createWebhook>;

export const editWebhook = z
  .strictObject({
    url: webhookFields.url.optional(),
    events: webhookFields.events.optional(),
    filter: webhookFields.filter.optional(),
    description: webhookFields.description.optional(),
    /** One that is enabled again is told of what happens from then on. */
    enabled: z.boolean().optional(),
  })
  .refine(
    (edit) => Object.keys(edit).length > 0,
    'must change at least one of url, events, filter, description, enabled',
  );
export type EditWebhook = z.input<typeof editWebhook>;

export const webhook = z.object({
  id,
  /** Whose it is; null: the installation's. */
  userId: z.string().nullable(),
  url: z.string(),
  events: z.array(webhookEventName),
  filter: z.object({
    queue: z.array(z.string()).optional(),
    type: z.array(z.string()).optional(),
    userId: z.array(z.string()).optional(),
  }),
  description: z.string().nullable(),
  enabled: z.boolean(),
  disabledAt: timestamp.nullable(),
  /** `by_hand`; `gone`: it answered 410; `failing`: nothing could be delivered for long; `backlog`: too much waited for it. */
  disabledReason: z.enum(['by_hand', 'gone', 'failing', 'backlog']).nullable(),
  /** Since when nothing could be delivered; null: its last delivery went well, or there was none. */
  failingSince: timestamp.nullable(),
  createdAt: timestamp,
  updatedAt: timestamp,
});
export type Webhook = z.infer<typeof webhook>;
export const webhookList = listOf(webhook);
export const listWebhooksQuery = z.strictObject({ ...page });

/** The only answers that hold the secret. */
export const createdWebhook = webhook.extend({ secret: z.string() });
export type CreatedWebhook = z.infer<typeof createdWebhook>;

export const rotateSecret = z.strictObject({
  /** How long deliveries are signed with the old secret too; 0: not at all. */
  graceMs: durationMs(0, 30 * 86_400_000).default(86_400_000),
});

/** What signs the callbacks of the caller's jobs. */
export const callbackSecret = z.object({
  /** Whose jobs; null: those that admins and producers created. */
  userId: z.string().nullable(),
  secret: z.string(),
  createdAt: timestamp,
});
export type CallbackSecret = z.infer<typeof callbackSecret>;

export const deliveryStatus = z.enum(['pending', 'delivered', 'failed']);
export type DeliveryStatus = z.infer<typeof deliveryStatus>;

export const delivery = z.object({
  /** Also its header `webhook-id`, whenever it is sent. */
  id,
  webhookId: id.nullable(),
  /** What it tells of: an event's name, or `webhook.test`. */
  event: z.string(),
  jobId: id.nullable(),
  url: z.string(),
  status: deliveryStatus,
  attempts: z.int(),
  /** When it is sent next; null: it is under way, or over. */
  nextAt: timestamp.nullable(),
  attemptedAt: timestamp.nullable(),
  responseStatus: z.int().nullable(),
  /** What came of the last attempt, when it was no success. Nothing of the answer's body is kept. */
  error: z.string().nullable(),
  durationMs: z.int().nullable(),
  createdAt: timestamp,
  finishedAt: timestamp.nullable(),
});
export type Delivery = z.infer<typeof delivery>;
export const deliveryList = listOf(delivery);
export const listDeliveriesQuery = z.strictObject({ ...page, status: repeatable(deliveryStatus).optional() });
