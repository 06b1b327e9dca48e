import type { EditWebhook, NewWebhook, WebhookFilter } from '@baton/runner-sdk/protocol';
import { v7 as uuidv7 } from 'uuid';
import type { Context } from '../../context';
import { BatonError } from '../../errors';
import type { Executor } from '../../store/db';
import { lockNames } from '../../store/locks';
import * as secrets from '../../store/signing-secrets';
import * as store from '../../store/webhooks';
import { record } from '../audit/record';
import { type Actor, type Caller, visibleUser } from '../auth/caller';
import { receiverFault } from './settings';
import { makeSecret } from './signature';
import { scopesOf } from './subscription';

/** A webhook with its secret, which can be read only now. */
export interface MadeWebhook {
  row: store.WebhookRow;
  secret: string;
}

/**
 * Creates a webhook. It receives every transition that starts after this has returned.
 * @throws {BatonError} `validation_failed`; `forbidden` for events that the caller may not see; `state_conflict` for
 * too many
 */
export async function createWebhook(
  context: Context,
  caller: Caller,
  by: Actor,
  wanted: NewWebhook,
): Promise<MadeWebhook> {
  const { filter, ...rest } = wanted;
  const draft = { userId: visibleUser(caller), ...rest, ...filtered(filter) };
  judge(context, caller, draft);
  const secret = makeSecret();
  const row = await changed(context, async (transaction) => {
    const most = context.webhooks.mostPerOwner;
    if ((await store.count(transaction, draft.userId)) >= most) {
      throw new BatonError(
        'state_conflict',
        `There are ${most} webhooks ${draft.userId === null ? 'that belong to no user' : `of the user ${draft.userId}`} already, and no more are allowed; delete one.`,
      );
    }
    const made = await store.insert(transaction, draft);
    await secrets.insertFirst(transaction, [{ id: uuidv7(), webhookId: made.id, secret }]);
    await record(transaction, by, [{ action: 'webhook.created', target: made.id, details: told(draft) }]);
    return made;
  });
  return { row, secret };
}

/** @throws {BatonError} `not_found`; `validation_failed`; `forbidden` */
export async function editWebhook(
  context: Context,
  caller: Caller,
  by: Actor,
  id: string,
  edit: EditWebhook,
): Promise<store.WebhookRow> {
  return changed(context, async (transaction) => {
    const row = await lockOrThrow(transaction, caller, id);
    const {
      enabled = row.disabledAt === null,
      filter,
      url = row.url,
      events = row.events,
      description = row.description,
    } = edit;
    const { queues, types, userIds } = filter === undefined ? row : filtered(filter as WebhookFilter);
    const draft = { id, userId: row.userId, url, events, description, queues, types, userIds };
    judge(context, caller, row);
    judge(context, caller, draft);
    await record(transaction, by, [{ action: 'webhook.edited', target: id, details: { ...told(draft), enabled } }]);
    return store.update(transaction, draft, enabled ? null : (row.disabledReason ?? 'by_hand'));
  });
}

/**
 * Deletes a webhook with its secrets and deliveries.
 * @throws {BatonError} `not_found`; `forbidden`
 */
export async function deleteWebhook(context: Context, caller: Caller, by: Actor, id: string): Promise<void> {
  await changed(context, async (transaction) => {
    const row = await lockOrThrow(transaction, caller, id);
    judgeEvents(caller, row.events);
    await store.remove(transaction, id);
    await record(transaction, by, [{ action: 'webhook.deleted', target: id, details: told(row) }]);
  });
}

/**
 * Replaces the secret. The old one signs beside the new one until the grace period is over.
 * @throws {BatonError} `not_found`; `forbidden`
 */
export async function rotateSecret(
  context: Context,
  caller: Caller,
  by: Actor,
  id: string,
  graceMs: number,
): Promise<MadeWebhook> {
  const secret = makeSecret();
  return context.db.transaction(async (transaction) => {
    const row = await lockOrThrow(transaction, caller, id);
    judgeEvents(caller, row.events);
    await secrets.retire(transaction, { webhookId: id }, graceMs);
    await secrets.insertFirst(transaction, [{ id: uuidv7(), webhookId: id, secret }]);
    await record(transaction, by, [{ action: 'webhook.secret_rotated', target: id, details: { graceMs } }]);
    return { row, secret };
  });
}

/** Runs a change of webhooks exclusively, and stores exactly their events from the next statement on. */
export function changed<T>(context: Context, change: (transaction: Executor) => Promise<T>): Promise<T> {
  return context.db.transaction(async (transaction) => {
    await lockNames(transaction, ['webhooks']);
    const done = await change(transaction);
    await store.watchExactly(transaction, (await store.enabled(transaction)).flatMap(scopesOf));
    return done;
  });
}

async function lockOrThrow(transaction: Executor, caller: Caller, id: string): Promise<store.WebhookRow> {
  const row = await store.lock(transaction, visibleUser(caller), id);
  if (row === null) throw new BatonError('not_found', `There is no webhook with id ${id}.`);
  return row;
}

function judge(
  { webhooks }: Context,
  caller: Caller,
  draft: Pick<store.InsertWebhook, 'userId' | 'url' | 'events' | 'userIds'>,
): void {
  const { userId, userIds } = draft;
  judgeEvents(caller, draft.events);
  if (userId !== null && draft.events.some((name) => name.startsWith('alert.')))
    throw new BatonError(
      'forbidden',
      'Alerts concern the whole installation; a webhook of a user cannot be told of them.',
    );
  if (userId !== null && userIds.some((one) => one !== userId)) {
    throw new BatonError(
      'forbidden',
      `This webhook hears of the jobs of the user ${userId} only; leave filter.userId out.`,
    );
  }
  const fault = receiverFault(draft.url, webhooks.urlPolicy);
  if (fault !== null)
    throw new BatonError('validation_failed', `The url ${fault}.`, { errors: [{ path: 'url', message: fault }] });
}

/** A caller who may not see an event may not manage a webhook that receives it. */
function judgeEvents(caller: Caller, events: string[]): void {
  const beyond = caller.role === 'admin' ? undefined : events.find((name) => !/^(job|schedule)\./.test(name));
  if (beyond !== undefined)
    throw new BatonError(
      'forbidden',
      `Only a key of role admin has webhooks for ${beyond}; others take events of jobs and schedules.`,
    );
}

function filtered({
  queue = [],
  type = [],
  userId = [],
}: WebhookFilter): Pick<store.InsertWebhook, 'queues' | 'types' | 'userIds'> {
  return { queues: queue, types: type, userIds: userId };
}

/** For the audit log: only the origin of the URL, because the rest may be a secret. */
function told({
  url,
  events,
  queues,
  types,
  userIds,
}: Pick<store.InsertWebhook, 'url' | 'events' | 'queues' | 'types' | 'userIds'>) {
  return { origin: new URL(url).origin, events, queues, types, userIds };
}
