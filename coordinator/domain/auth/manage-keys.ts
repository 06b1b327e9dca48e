import type { NewApiKey } from '@baton/runner-sdk/protocol';
import type { Context } from '../../context';
import { BatonError } from '../../errors';
import * as store from '../../store/api-keys';
import type { Executor } from '../../store/db';
import { passOn } from '../../store/schedules/rows';
import { record, audited } from '../audit/record';
import type { Actor } from './caller';
import { hashOf, makeKey } from './keys';

/** A new key. The key itself can be read only now. */
export interface MadeKey {
  row: store.ApiKeyRow;
  key: string;
}

export function createKey(context: Context, by: Actor, wanted: NewApiKey): Promise<MadeKey> {
  const { name, role, userId = null, queues = [], types = [], expiresAt = null } = wanted;
  return audited(
    context,
    by,
    (db) => put(db, { name, role, userId, queues, types, expiresAt, rotatedFrom: null }),
    ({ row }) => [{ action: 'key.created', target: row.id, details: { name, role, userId, queues, types, expiresAt } }],
  );
}

/**
 * Creates a successor with the same rights and, if the old key expires, the same lifetime. Both work during the grace
 * period; then the old key expires.
 * @throws {BatonError} `not_found`; `state_conflict` for a key that is no longer valid, or that is configured
 */
export function rotateKey(context: Context, by: Actor, id: string, graceMs: number): Promise<MadeKey> {
  return context.db.transaction(async (transaction) => {
    const old = await store.lock(transaction, id);
    if (old === null) throw new BatonError('not_found', `There is no API key with id ${id}.`);
    if (!old.isUsable) throw new BatonError('state_conflict', 'The key is revoked or has expired; make a new one.');
    if (id === 'configured' || id === 'embedded')
      throw new BatonError(
        'state_conflict',
        'This key is set by the configuration; change it there, or make another admin key.',
      );
    const { name, role, userId, queues, types, successorExpiresAt } = old;
    const made = await put(transaction, {
      name,
      role,
      userId,
      queues,
      types,
      expiresAt: successorExpiresAt?.toISOString() ?? null,
      rotatedFrom: id,
    });
    await store.expireAfter(transaction, id, graceMs);
    await passOn(transaction, id, made.row.id);
    await record(transaction, by, [
      { action: 'key.rotated', target: id, details: { name, successor: made.row.id, graceMs } },
    ]);
    return made;
  });
}

/** @throws {BatonError} `not_found` */
export async function revokeKey(context: Context, by: Actor, id: string): Promise<store.ApiKeyRow> {
  const isRevoked = await audited(
    context,
    by,
    (db) => store.revoke(db, id),
    (isDone) => (isDone ? [{ action: 'key.revoked', target: id }] : []),
  );
  const row = isRevoked ? await store.get(context.db, id) : null;
  if (row === null) throw new BatonError('not_found', `There is no API key with id ${id}.`);
  return row;
}

async function put(db: Executor, wanted: Omit<store.InsertApiKey, 'id' | 'secretHash'>): Promise<MadeKey> {
  const { id, key } = makeKey();
  return { row: await store.insert(db, { ...wanted, id, secretHash: hashOf(key) }), key };
}
