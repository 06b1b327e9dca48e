import { createHash, randomBytes } from 'node:crypto';
import { crc32 } from 'node:zlib';
import { BatonError } from '../../errors';
import * as store from '../../store/api-keys';
import { type Db, type Executor, isUniqueViolation } from '../../store/db';
import { findOpen, takeLink } from '../../store/sessions';
import type { Caller } from './caller';
import type { Credential } from './credentials';
import { TtlCache } from './ttl-cache';

const ALPHABET = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
const ID_LENGTH = 12;
/** 28 of 62 letters: 166 random bits. */
const SECRET_LENGTH = 28;
const CHECKSUM_LENGTH = 6;
const SHAPE = new RegExp(`^baton_[0-9A-Za-z]{${ID_LENGTH}}_[0-9A-Za-z]{${SECRET_LENGTH + CHECKSUM_LENGTH}}$`);

/** `baton_<public id>_<secret><checksum>`: the prefix is for secret scanners, the checksum finds typing errors without a query. */
export function makeKey(): { id: string; key: string } {
  const id = randomText(ID_LENGTH);
  const body = `baton_${id}_${randomText(SECRET_LENGTH)}`;
  return { id, key: body + checksum(body) };
}

/** Makes the configured admin key usable, and an earlier one under the same name unusable. */
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
    // A coordinator that starts at the same moment was faster, or the key is usable already, under another name.
    const holder = await store.findUsable(db, secretHash);
    if (holder?.role !== 'admin')
      throw new BatonError(
        'state_conflict',
        'The admin key is already the key of another role, or was revoked; choose another one.',
      );
  }
}

/** Who came in, and until when, if a browser's session let them in. */
export interface Login {
  caller: Caller;
  sessionEndsAt: Date | null;
  /** What let the caller in; null: nothing was asked for. */
  credential: Credential | null;
}

/** Tells who a key belongs to. Answers are kept for a short time, so a revoked key works at most that much longer. */
export class ApiKeyCache {
  private readonly known: TtlCache<Caller | null>;
  private readonly sessions: TtlCache<Login | null>;
  /** Hashes of keys that were good when they were last looked at. */
  private readonly good = new Set<string>();
  /** The hashes of keys that were let in of late, so that a runner's key is not hashed anew at each of its calls. */
  private readonly hashes = new Map<string, string>();

  constructor(
    private readonly db: Executor,
    keepMs = 3000,
  ) {
    this.known = new TtlCache(keepMs);
    this.sessions = new TtlCache(keepMs);
  }

  /** @throws {BatonError} `unauthenticated`, the same for every kind of bad key. */
  async callerOf(key: string): Promise<Caller> {
    const hash = isPossible(key) ? hashOf(key) : null;
    const caller = hash === null ? null : await this.lookUp(hash);
    if (hash === null || caller === null)
      throw new BatonError('unauthenticated', 'The API key is unknown, revoked or expired.');
    if (this.hashes.size >= MOST_HASHES) this.hashes.clear();
    this.hashes.set(key, hash);
    return caller;
  }

  /** Whose key it is, if that is known already. */
  recall(key: string): Login | null {
    const hash = this.hashes.get(key);
    const caller = hash === undefined ? null : (this.known.peek(hash) ?? null);
    if (hash !== undefined && caller !== null)
      return { caller, sessionEndsAt: null, credential: { kind: 'key', hash } };
    // No key is remembered for longer than what is known of it.
    this.hashes.delete(key);
    return null;
  }

  /** @throws {BatonError} `unauthenticated` for a session that is over, or whose key may not be used any more. */
  async callerOfSession(token: string): Promise<Login> {
    const tokenHash = hashOf(token);
    const login = await this.sessions.recall(tokenHash, async () => {
      const row = await findOpen(this.db, tokenHash);
      return row === null
        ? null
        : {
            caller: toCaller(row),
            sessionEndsAt: row.sessionEndsAt,
            credential: { kind: 'session' as const, hash: tokenHash },
          };
    });
    if (login === null) throw new BatonError('unauthenticated', 'The session is over. POST /session opens a new one.');
    return login;
  }

  /** @throws {BatonError} `unauthenticated` for a link that was used, is over, or whose key may not be used any more. */
  async callerOfLink(token: string): Promise<Caller> {
    const row = await takeLink(this.db, hashOf(token));
    if (row === null)
      throw new BatonError(
        'unauthenticated',
        'The link was used already, or has expired: it signs in once. Sign in with an API key.',
      );
    return toCaller(row);
  }

  /** A closed session is over at once on this coordinator. */
  forgetSession(token: string): void {
    this.sessions.forget(hashOf(token));
  }

  /** Whether the key was good when it was last looked at. */
  wasGood(key: string): boolean {
    return this.good.has(hashOf(key));
  }

  private lookUp(secretHash: string): Promise<Caller | null> {
    return this.known.recall(secretHash, async () => {
      const row = await store.findUsable(this.db, secretHash);
      if (this.good.size >= MOST_GOOD) this.good.clear();
      if (row === null) this.good.delete(secretHash);
      else this.good.add(secretHash);
      return row === null ? null : toCaller(row);
    });
  }
}

const MOST_GOOD = 10_000;
const MOST_HASHES = 1000;

/** The part of a key that may be seen; null: it has none. */
export function publicIdOf(key: string): string | null {
  return SHAPE.test(key) ? (key.split('_')[1] ?? null) : null;
}

/** A stored key without names is not limited; one that is to be limited to nothing cannot be made. */
function toCaller({ id, name, role, userId, queues, types }: store.ApiKeyRow): Caller {
  return { keyId: id, name, role, userId, queues: namedOrAll(queues), types: namedOrAll(types) };
}

function namedOrAll(names: string[]): string[] | null {
  return names.length === 0 ? null : names;
}

/** Refuses mistyped keys without a query. A configured admin key may have any shape. */
function isPossible(key: string): boolean {
  if (!SHAPE.test(key)) return key.length >= 20 && key.length <= 200;
  return checksum(key.slice(0, -CHECKSUM_LENGTH)) === key.slice(-CHECKSUM_LENGTH);
}

export function hashOf(key: string): string {
  return createHash('sha256').update(key).digest('base64url');
}

function checksum(body: string): string {
  let rest = crc32(body);
  let text = '';
  for (let place = 0; place < CHECKSUM_LENGTH; place += 1) {
    text = (ALPHABET[rest % 62] ?? '0') + text;
    rest = Math.floor(rest / 62);
  }
  return text;
}

/** Letters drawn without bias: bytes past the last whole multiple of 62 are thrown away. */
function randomText(length: number): string {
  let text = '';
  while (text.length < length) {
    for (const byte of randomBytes(length)) if (byte < 248 && text.length < length) text += ALPHABET[byte % 62] ?? '';
  }
  return text;
}
