import { BatonError } from '../../errors';
import * as store from '../../store/api-keys';
import type { Executor } from '../../store/db';
import { linkIsOver } from './sessions';
import { findLink, findOpen } from '../../store/sessions';
import type { Caller } from './caller';
import type { Credential } from './credential-watch';
import { hashOf, isPossibleKey } from './keys';
import { TtlCache } from './ttl-cache';

const MOST_GOOD = 10_000;
const MOST_HASHES = 1000;

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
  /** Hashes of keys, and of the tokens of sessions, that were good when they were last looked at. */
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
    const hash = isPossibleKey(key) ? hashOf(key) : null;
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
      this.remember(tokenHash, row !== null);
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

  /**
   * Whose link it is; `openSession` takes it.
   * @throws {BatonError} `unauthenticated` for a link that was used, is over, or whose key may not be used any more.
   */
  async callerOfLink(token: string): Promise<Caller> {
    const row = await findLink(this.db, hashOf(token));
    if (row === null) throw linkIsOver();
    return toCaller(row);
  }

  /** A closed session is over at once on this coordinator. */
  forgetSession(token: string): void {
    this.sessions.forget(hashOf(token));
  }

  /** Whether the key, or the token of a session, was good when it was last looked at. */
  wasGood(secret: string): boolean {
    return this.good.has(hashOf(secret));
  }

  private lookUp(secretHash: string): Promise<Caller | null> {
    return this.known.recall(secretHash, async () => {
      const row = await store.findUsable(this.db, secretHash);
      this.remember(secretHash, row !== null);
      return row === null ? null : toCaller(row);
    });
  }

  private remember(hash: string, isGood: boolean): void {
    if (this.good.size >= MOST_GOOD) this.good.clear();
    if (isGood) this.good.add(hash);
    else this.good.delete(hash);
  }
}

/** A stored key without names is not limited; one that is to be limited to nothing cannot be made. */
function toCaller({ id, name, role, userId, queues, types }: store.ApiKeyRow): Caller {
  return { keyId: id, name, role, userId, queues: namedOrAll(queues), types: namedOrAll(types) };
}

function namedOrAll(names: string[]): string[] | null {
  return names.length === 0 ? null : names;
}
