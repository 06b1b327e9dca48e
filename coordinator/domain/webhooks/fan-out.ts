import type { Context } from '../../context';
import { type EventRow, publish, readPublished } from '../../store/events';
import * as deliveries from '../../store/webhook-deliveries';
import * as outbox from '../../store/webhook-outbox';
import { enabled, type WebhookRow } from '../../store/webhooks';
import { ensureSecrets } from './callback-secret';
import { wants } from './subscription';

const PAGE = 500;
const MOST_AT_ONCE = 2000;

export interface FannedOut {
  /** Number of deliveries created. */
  made: number;
  hasMore: boolean;
  /** Whether any webhook waits for events. */
  isAwaited: boolean;
}

/**
 * Turns the next page of events into deliveries. The deliveries and the progress are one transaction, so each event
 * becomes deliveries once, whichever coordinator dies when.
 */
export async function fanOut(context: Context): Promise<FannedOut> {
  const { hasNews, isAwaited } = await outbox.look(context.db);
  const nothing = { made: 0, hasMore: false, isAwaited };
  if (!hasNews) return nothing;
  await context.db.transaction(publish);
  return context.db.transaction(async (transaction) => {
    const from = await outbox.lock(transaction);
    if (from === null) return nothing;
    const { events, upTo, hasMore } = await readPublished(transaction, from, PAGE);
    const webhooks = events.length === 0 ? [] : await enabled(transaction);
    const made = events.flatMap((event) => deliveriesOf(event, webhooks));
    await ensureSecrets(
      transaction,
      made.filter(({ webhookId }) => webhookId === null).map(({ userId }) => userId),
    );
    for (let start = 0; start < made.length; start += MOST_AT_ONCE)
      await deliveries.insert(transaction, made.slice(start, start + MOST_AT_ONCE));
    await outbox.advance(transaction, upTo);
    return { made: made.length, hasMore, isAwaited };
  });
}

/** A delivery about the webhook itself. */
export function webhookDelivery(
  { id: webhookId, userId }: Pick<WebhookRow, 'id' | 'userId'>,
  message: Pick<deliveries.InsertDelivery, 'name' | 'at' | 'data' | 'jobId'>,
): deliveries.InsertDelivery {
  return { webhookId, url: null, userId, endpoint: `webhook:${webhookId}`, ...message };
}

function deliveriesOf(event: EventRow, webhooks: WebhookRow[]): deliveries.InsertDelivery[] {
  const message = { name: event.name, at: event.at, data: dataOf(event), jobId: event.jobId };
  const made = webhooks.filter((webhook) => wants(webhook, event)).map((webhook) => webhookDelivery(webhook, message));
  if (event.callback === null) return made;
  const { url, userId } = event.callback;
  // A user's callbacks to one host share the limit on attempts with each other, but not with other users.
  return [
    ...made,
    {
      webhookId: null,
      url,
      userId,
      endpoint: `callback:${userId ?? ''}:${new URL(url).origin}`,
      ...message,
    },
  ];
}

/** Only ids, status and codes. Payloads are read from the job, by those who may, for as long as it is kept. */
function dataOf({ jobId, type, queue, userId, status, attempt, runnerId, details }: EventRow): Record<string, unknown> {
  if (jobId === null) return details ?? {};
  return { jobId, type, queue, userId, status, attempt, runnerId, details };
}
