import { randomBytes } from 'node:crypto';
import type { Context } from '../../context';
import * as store from '../../store/sessions';
import { audited } from '../audit/record';
import type { Actor } from './caller';
import { hashOf } from './keys';

const LIFE_MS = 12 * 3_600_000;
const TOKEN_BYTES = 32;

/** A browser's session: it does what its key may, until it is closed, twelve hours are over or the key may not be used. */
export async function openSession(context: Context, by: Actor): Promise<{ token: string; expiresAt: Date }> {
  const token = randomBytes(TOKEN_BYTES).toString('base64url');
  const expiresAt = await audited(
    context,
    by,
    (db) => store.insert(db, { tokenHash: hashOf(token), keyId: by.keyId, lifeMs: LIFE_MS }),
    () => [{ action: 'session.opened', target: by.keyId }],
  );
  return { token, expiresAt };
}

/** Over on this coordinator at once, on the others within seconds. */
export async function closeSession(context: Context, by: Actor, token: string): Promise<void> {
  await audited(
    context,
    by,
    (db) => store.remove(db, hashOf(token)),
    (isClosed) => (isClosed ? [{ action: 'session.closed', target: by.keyId }] : []),
  );
}
