import type { EventRow } from '../../store/events';
import type { WebhookRow } from '../../store/webhooks';

type Subscription = Pick<WebhookRow, 'userId' | 'events' | 'queues' | 'types' | 'userIds'>;

/** Whether a webhook receives an event. A user's webhook receives only events that concern this user. */
export function wants(
  webhook: Subscription & Pick<WebhookRow, 'since'>,
  event: Pick<EventRow, 'position' | 'name' | 'jobId' | 'queue' | 'type' | 'userId'>,
): boolean {
  if (event.position <= Number(webhook.since) || !webhook.events.includes(event.name)) return false;
  if (webhook.userId !== null && webhook.userId !== event.userId) return false;
  if (event.jobId === null) return true;
  return (
    isOneOf(webhook.queues, event.queue) && isOneOf(webhook.types, event.type) && isOneOf(webhook.userIds, event.userId)
  );
}

/**
 * The narrowest scopes, as defined in `store/events.ts`, that contain all its events. Events that are not about jobs
 * need none.
 */
export function scopesOf({ userId, events, queues, types, userIds }: Subscription): string[] {
  const names = events.filter((name) => name.startsWith('job.'));
  return wheresOf(userId === null ? userIds : [userId], types, queues).flatMap((where) =>
    names.map((name) => `${where} ${name}`),
  );
}

function wheresOf(users: string[], types: string[], queues: string[]): string[] {
  if (users.length > 0) return users.map((user) => `user:${user}`);
  if (types.length > 0) return types.map((type) => `type:${type}`);
  return queues.length > 0 ? queues.map((queue) => `queue:${queue}`) : ['all'];
}

function isOneOf(list: string[], value: string | null): boolean {
  return list.length === 0 || (value !== null && list.includes(value));
}
