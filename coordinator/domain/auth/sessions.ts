import { randomBytes } from 'node:crypto';
import type { Context } from '../../context';
import { BatonError } from '../../errors';
import * as store from '../../store/sessions';
import { audited } from '../audit/record';
import type { Actor } from './caller';
import { hashOf } from './keys';

const LIFE_MS = 12 * 3_600_000;
const TOKEN_BYTES = 32;

/**
 * Opens a browser session with the rights of its key, until it is closed, twelve hours have passed or the key is no
 * longer valid.
 * @param link the token of the link that opens it, which is used up
 * @throws {BatonError} `unauthenticated` when the link was used meanwhile
 */
export async function openSession(
  context: Context,
  by: Actor,
  link?: string,
): Promise<{ token: string; expiresAt: Date }> {
  const token = randomBytes(TOKEN_BYTES).toString('base64url');
  const expiresAt = await audited(
    context,
    by,
    async (db) => {
      if (link !== undefined && !(await store.takeLink(db, hashOf(link)))) throw linkIsOver();
      return store.insert(db, { tokenHash: hashOf(token), keyId: by.keyId, lifeMs: LIFE_MS });
    },
    () => [{ action: 'session.opened', target: by.keyId }],
  );
  return { token, expiresAt };
}

/**
 * Creates a link that signs a browser in once, with the caller's key.
 * @throws {BatonError} `state_conflict` for a caller without a key of its own, such as one with a token
 */
export async function createLink(
  context: Context,
  by: Actor,
  lifeMs: number,
): Promise<{ token: string; expiresAt: Date }> {
  const token = randomBytes(TOKEN_BYTES).toString('base64url');
  const expiresAt = await audited(
    context,
    by,
    (db) => store.insertLink(db, { tokenHash: hashOf(token), keyId: by.keyId, lifeMs }),
    (stored) => (stored === null ? [] : [{ action: 'session.link_created', target: by.keyId, details: { lifeMs } }]),
  );
  if (expiresAt === null)
    throw new BatonError(
      'state_conflict',
      'Only a caller with an API key can make a link: it signs in as that key. A token has no key.',
    );
  return { token, expiresAt };
}

/** Closes a session: at once on this coordinator, within seconds on the others. */
export async function closeSession(context: Context, by: Actor, token: string): Promise<void> {
  await audited(
    context,
    by,
    (db) => store.remove(db, hashOf(token)),
    (isClosed) => (isClosed ? [{ action: 'session.closed', target: by.keyId }] : []),
  );
}

export function linkIsOver(): BatonError {
  return new BatonError(
    'unauthenticated',
    'The link was used already, or has expired: it signs in once. Sign in with an API key.',
  );
}
