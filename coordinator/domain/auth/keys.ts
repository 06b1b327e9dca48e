import { createHash, randomBytes } from 'node:crypto';
import { crc32 } from 'node:zlib';
import { BatonError } from '../../errors';
import * as store from '../../store/api-keys';
import { type Db, isUniqueViolation } from '../../store/db';

const ALPHABET = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
const ID_LENGTH = 12;
/** 28 of 62 letters: 166 random bits. */
const SECRET_LENGTH = 28;
const CHECKSUM_LENGTH = 6;
const SHAPE = new RegExp(`^baton_[0-9A-Za-z]{${ID_LENGTH}}_[0-9A-Za-z]{${SECRET_LENGTH + CHECKSUM_LENGTH}}$`);

/**
 * `baton_<public id>_<secret><checksum>`: secret scanners recognise the prefix, and the checksum detects typing errors
 * without a query.
 */
export function makeKey(): { id: string; key: string } {
  const id = randomText(ID_LENGTH);
  const body = `baton_${id}_${randomText(SECRET_LENGTH)}`;
  return { id, key: body + checksum(body) };
}

/** Makes the configured admin key valid, and an earlier one under the same name invalid. */
export async function installAdminKey(db: Db, id: 'configured' | 'embedded', key: string): Promise<void> {
  const secretHash = hashOf(key);
  try {
    await store.replace(db, {
      id,
      name: `${id} admin key`,
      role: 'admin',
      userId: null,
      queues: [],
      types: [],
      secretHash,
      expiresAt: null,
    });
  } catch (error) {
    if (!isUniqueViolation(error, 'api_keys_secret_hash_key')) throw error;
    // Another coordinator that starts at the same moment was faster, or the key is already valid under another name.
    const holder = await store.findUsable(db, secretHash);
    if (holder?.role !== 'admin')
      throw new BatonError(
        'state_conflict',
        'The admin key is already the key of another role, or was revoked; choose another one.',
      );
  }
}

/** The public part of a key; null: it has none. */
export function publicIdOf(key: string): string | null {
  return SHAPE.test(key) ? (key.split('_')[1] ?? null) : null;
}

/** Refuses mistyped keys without a query. A configured admin key may have any shape. */
export function isPossibleKey(key: string): boolean {
  if (!SHAPE.test(key)) return key.length >= 20 && key.length <= 200;
  return checksum(key.slice(0, -CHECKSUM_LENGTH)) === key.slice(-CHECKSUM_LENGTH);
}

export function hashOf(key: string): string {
  return createHash('sha256').update(key).digest('base64url');
}

function checksum(body: string): string {
  let rest = crc32(body);
  let text = '';
  for (let digit = 0; digit < CHECKSUM_LENGTH; digit += 1) {
    text = (ALPHABET[rest % 62] ?? '0') + text;
    rest = Math.floor(rest / 62);
  }
  return text;
}

/** Random letters without bias: bytes beyond the last multiple of 62 are discarded. */
function randomText(length: number): string {
  let text = '';
  while (text.length < length) {
    for (const byte of randomBytes(length)) if (byte < 248 && text.length < length) text += ALPHABET[byte % 62] ?? '';
  }
  return text;
}
