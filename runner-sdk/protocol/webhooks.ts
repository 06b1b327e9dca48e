import { z } from 'zod';
import { jobEventName, noticeName } from './events';
import { callbackUrl } from './jobs';
import { durationMs, id, listOf, name, page, repeatable, text, timestamp } from './primitives';

/** Events that a webhook can receive. Those that are not about jobs are only for webhooks of admins. */
export const webhookEventName = z.enum([...jobEventName.options, ...noticeName.options]);
export type WebhookEventName = z.infer<typeof webhookEventName>;

/**
 * Several values of one field mean any of them, several fields mean all. Events that are not about jobs always pass.
 */
export const webhookFilter = z.strictObject({
  queue: repeatable(name).optional().describe('Only events of jobs in these queues.'),
  type: repeatable(name).optional().describe('Only events of jobs of these types.'),
  userId: repeatable(text(200))
    .optional()
    .describe("Only events of these users' jobs. A webhook of a user only receives events of that user's jobs."),
});
export type WebhookFilter = z.infer<typeof webhookFilter>;

const webhookFields = {
  url: callbackUrl.describe(
    'Where events are posted to. Which hosts, ports and schemes are allowed is a setting of the coordinator.',
  ),
  events: z
    .array(webhookEventName)
    .min(1)
    .max(webhookEventName.options.length)
    .describe('The events to receive. Events that are not about jobs are sent only to webhooks of admins.'),
  filter: webhookFilter.describe(
    'Restricts job events. Values of one field are alternatives, several fields must all match.',
  ),
  description: text(500).nullable().describe('A note for people; null: none.'),
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
    url: webhookFields.url.optional().describe('Where events are posted to.'),
    events: webhookFields.events.optional().describe('The events to receive.'),
    filter: webhookFields.filter.optional().describe('Restricts job events; it replaces the old filter.'),
    description: webhookFields.description.optional().describe('A note for people; null: none.'),
    enabled: z
      .boolean()
      .optional()
      .describe('Whether events are sent. A webhook that is enabled again receives events from then on.'),
  })
  .refine(
    (edit) => Object.keys(edit).length > 0,
    'must change at least one of url, events, filter, description, enabled',
  );
export type EditWebhook = z.input<typeof editWebhook>;

export const webhook = z.object({
  id: id.describe('Id of the webhook (UUIDv7).'),
  userId: z.string().nullable().describe('The user that the webhook belongs to; null: the installation.'),
  url: z.string().describe('Where events are posted to.'),
  events: z.array(webhookEventName).describe('The events that it receives.'),
  filter: z
    .object({
      queue: z.array(z.string()).optional().describe('Only events of jobs in these queues.'),
      type: z.array(z.string()).optional().describe('Only events of jobs of these types.'),
      userId: z.array(z.string()).optional().describe("Only events of these users' jobs."),
    })
    .describe('Restricts job events. Values of one field are alternatives, several fields must all match.'),
  description: z.string().nullable().describe('A note for people; null: none.'),
  enabled: z.boolean().describe('Whether events are sent.'),
  disabledAt: timestamp.nullable().describe('When the webhook was disabled; null: it is enabled.'),
  disabledReason: z
    .enum(['by_hand', 'gone', 'failing', 'backlog'])
    .nullable()
    .describe(
      '`by_hand`: somebody disabled it. `gone`: it answered 410. `failing`: nothing could be delivered for a long time. `backlog`: too many deliveries were waiting. null: it is enabled.',
    ),
  failingSince: timestamp
    .nullable()
    .describe('Since when nothing could be delivered; null: the last delivery succeeded, or there was none.'),
  createdAt: timestamp.describe('When the webhook was created.'),
  updatedAt: timestamp.describe('When the webhook was last changed.'),
});
export type Webhook = z.infer<typeof webhook>;
export const webhookList = listOf(webhook);
export const listWebhooksQuery = z.strictObject({ ...page });

/** The only answers that contain the secret. */
export const createdWebhook = webhook.extend({
  secret: z.string().describe('The secret that signs deliveries (Standard Webhooks). It is shown only in this answer.'),
});
export type CreatedWebhook = z.infer<typeof createdWebhook>;

export const rotateSecret = z.strictObject({
  graceMs: durationMs(0, 30 * 86_400_000)
    .default(86_400_000)
    .describe('How long deliveries are signed with the old secret too, in milliseconds; 0 ends it at once.'),
});

/** The secret that signs the callbacks of the caller's jobs. */
export const callbackSecret = z.object({
  userId: z.string().nullable().describe('The user whose jobs it signs; null: jobs created by admins and producers.'),
  secret: z.string().describe('The secret that signs callbacks (Standard Webhooks).'),
  createdAt: timestamp.describe('When the secret was created.'),
});
export type CallbackSecret = z.infer<typeof callbackSecret>;

export const deliveryStatus = z.enum(['pending', 'delivered', 'failed']);
export type DeliveryStatus = z.infer<typeof deliveryStatus>;

export const delivery = z.object({
  id: id.describe('Id of the delivery (UUIDv7), also its header `webhook-id`, the same for every attempt.'),
  webhookId: id.nullable().describe('Id of the webhook; null: a callback of a job.'),
  event: z.string().describe('Name of the event, or `webhook.test`.'),
  jobId: id.nullable().describe('Id of the job that the event is about; null: none.'),
  url: z.string().describe('Where it is sent.'),
  status: deliveryStatus.describe(
    '`pending`: to be sent, or sent again. `delivered`: answered with a 2xx status. `failed`: given up.',
  ),
  attempts: z.int().describe('How many times it was sent.'),
  nextAt: timestamp.nullable().describe('When it is sent next; null: it is being sent, or it is finished.'),
  attemptedAt: timestamp.nullable().describe('When it was last sent; null: not yet.'),
  responseStatus: z.int().nullable().describe('HTTP status of the last answer; null: there was none.'),
  error: z
    .string()
    .nullable()
    .describe('Why the last attempt failed; null: it did not. The body of the answer is not kept.'),
  durationMs: z.int().nullable().describe('How long the last attempt took, in milliseconds; null: not sent yet.'),
  createdAt: timestamp.describe('When the delivery was created.'),
  finishedAt: timestamp.nullable().describe('When it was delivered or given up; null: neither yet.'),
});
export type Delivery = z.infer<typeof delivery>;
export const deliveryList = listOf(delivery);
export const listDeliveriesQuery = z.strictObject({
  ...page,
  status: repeatable(deliveryStatus).optional().describe('Only deliveries with this status. May be repeated.'),
});
