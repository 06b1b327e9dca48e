import { v7 as uuidv7 } from 'uuid';
import type { Context } from '../../context';
import { BatonError } from '../../errors';
import type { Executor } from '../../store/db';
import { lockNames } from '../../store/locks';
import * as store from '../../store/signing-secrets';
import { record } from '../audit/record';
import type { Actor } from '../auth/caller';
import { makeSecret } from './signature';

/**
 * The secret that signs the callbacks of jobs created by this user, or (null) by admins and producers. It belongs to
 * the creator and not to the job's user: otherwise a user could sign messages that a receiver would attribute to its
 * own application.
 */
export async function callbackSecret(context: Context, userId: string | null): Promise<store.SecretRow> {
  await ensureSecrets(context.db, [userId]);
  return orThrow(await store.current(context.db, ownerOf(userId)));
}

/** Replaces the secret. The old one signs beside the new one until the grace period is over. */
export function rotateCallbackSecret(
  context: Context,
  by: Actor,
  userId: string | null,
  graceMs: number,
): Promise<store.SecretRow> {
  return context.db.transaction(async (transaction) => {
    await lockNames(transaction, [JSON.stringify(['callback secret', userId])]);
    await store.retire(transaction, ownerOf(userId), graceMs);
    await ensureSecrets(transaction, [userId]);
    await record(transaction, by, [
      { action: 'callback_secret.rotated', ...(userId === null ? {} : { target: userId }), details: { graceMs } },
    ]);
    return orThrow(await store.current(transaction, ownerOf(userId)));
  });
}

/** Creates missing secrets. */
export async function ensureSecrets(db: Executor, userIds: (string | null)[]): Promise<void> {
  if (userIds.length === 0) return;
  await store.insertFirst(
    db,
    [...new Set(userIds)].map((userId) => ({ id: uuidv7(), ...ownerOf(userId), secret: makeSecret() })),
  );
}

function ownerOf(userId: string | null): { callbackOf: string } {
  return { callbackOf: userId ?? '' };
}

function orThrow(row: store.SecretRow | null): store.SecretRow {
  if (row === null)
    throw new BatonError('unavailable', 'The secret was rotated at this moment; ask again.', { retryAfterMs: 1000 });
  return row;
}
