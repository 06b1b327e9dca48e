import type { Delivery, Webhook } from '@baton/runner-sdk/protocol';
import type { DeliveryRow } from '../../store/webhook-deliveries';
import type { WebhookRow } from '../../store/webhooks';

export function renderWebhook(row: WebhookRow): Webhook {
  return {
    id: row.id,
    userId: row.userId,
    url: row.url,
    events: row.events as Webhook['events'],
    filter: {
      ...(row.queues.length === 0 ? {} : { queue: row.queues }),
      ...(row.types.length === 0 ? {} : { type: row.types }),
      ...(row.userIds.length === 0 ? {} : { userId: row.userIds }),
    },
    description: row.description,
    enabled: row.disabledAt === null,
    disabledAt: time(row.disabledAt),
    disabledReason: row.disabledReason as Webhook['disabledReason'],
    failingSince: time(row.failingSince),
    createdAt: row.createdAt.toISOString(),
    updatedAt: row.updatedAt.toISOString(),
  };
}

export function renderDelivery(row: DeliveryRow): Delivery {
  const isWaiting = row.status === 'pending' && row.leaseToken === null;
  return {
    id: row.id,
    webhookId: row.webhookId,
    event: row.name,
    jobId: row.jobId,
    url: row.url,
    status: row.status,
    attempts: row.attempts,
    nextAt: isWaiting ? row.nextAt.toISOString() : null,
    attemptedAt: time(row.attemptedAt),
    responseStatus: row.responseStatus,
    error: row.error,
    durationMs: row.durationMs,
    createdAt: row.createdAt.toISOString(),
    finishedAt: time(row.finishedAt),
  };
}

function time(date: Date | null): string | null {
  return date === null ? null : date.toISOString();
}
