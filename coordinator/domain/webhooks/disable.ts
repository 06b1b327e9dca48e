import type { Context } from '../../context';
import * as events from '../../store/events';
import * as deliveries from '../../store/webhook-deliveries';
import * as store from '../../store/webhooks';
import { record } from '../audit/record';
import type { Actor } from '../auth/caller';
import { changed } from './manage';

/** With more waiting deliveries than this a webhook cannot catch up. */
const MOST_WAITING = 100_000;
const BATCH = 1000;

/** Disables a webhook and reports it; with `failingForMs` only if it has failed for this long. */
export async function disable(
  context: Context,
  id: string,
  reason: 'gone' | 'failing' | 'backlog',
  failingForMs: number | null = null,
): Promise<void> {
  await changed(context, async (transaction) => {
    const row = await store.disable(transaction, id, reason, failingForMs);
    if (row === null) return;
    const { userId, failingSince } = row;
    const details = { webhookId: id, reason, failingSince: failingSince?.toISOString() ?? null };
    await events.tell(transaction, { name: 'webhook.disabled', userId, details });
    await record(transaction, ITSELF, [{ action: 'webhook.disabled', target: id, details }]);
    context.log.warn('a webhook was disabled', { webhookId: id, reason });
  });
}

/** Ends, deletes and disables what would let deliveries grow without bound. Returns whether there may be more to do. */
export async function tidy(context: Context, mostWaiting = MOST_WAITING): Promise<boolean> {
  for (const { id } of await store.overfull(context.db, mostWaiting)) await disable(context, id, 'backlog');
  const ended = await deliveries.endDisabled(context.db, BATCH);
  const removed = await deliveries.removeOld(context.db, context.webhooks.keepMs, BATCH);
  return ended === BATCH || removed === BATCH;
}

const ITSELF: Actor = { keyId: '', keyName: 'coordinator', role: 'none', userId: null, address: '', requestId: '' };
