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

/** An authenticated caller, and when the browser's session ends if it used one. */
export interface Login {
  caller: Caller;
  sessionEndsAt: Date | null;
  /** The caller's credential; null: a public call without one. */
  credential: Credential | null;
}

/** Finds the caller of a key. Results are cached for a short time, so a revoked key works at most that much longer. */
export class ApiKeyCache {
  private readonly known: TtlCache<Caller | null>;
  private readonly sessions: TtlCache<Login | null>;
  /** Hashes of keys and session tokens that were valid when last checked. */
  private readonly good = new Set<string>();
  /** Hashes of recently accepted keys, so that a runner's key is not hashed at each of its calls. */
  private readonly hashes = new Map<string, string>();

  constructor(
    private readonly db: Executor,
    keepMs = 3000,
  ) {
    this.known = new TtlCache(keepMs);
    this.sessions = new TtlCache(keepMs);
  }

  /** @throws {BatonError} `unauthenticated`, the same for every kind of bad key */
  async callerOf(key: string): Promise<Caller> {
    const hash = isPossibleKey(key) ? hashOf(key) : null;
    const caller = hash === null ? null : await this.lookUp(hash);
    if (hash === null || caller === null)
      throw new BatonError('unauthenticated', 'The API key is unknown, revoked or expired.');
    if (this.hashes.size >= MOST_HASHES) this.hashes.clear();
    this.hashes.set(key, hash);
    return caller;
  }

  /** The caller of a key, if it is cached. */
  recall(key: string): Login | null {
    const hash = this.hashes.get(key);
    const caller = hash === undefined ? null : (this.known.peek(hash) ?? null);
    if (hash !== undefined && caller !== null)
      return { caller, sessionEndsAt: null, credential: { kind: 'key', hash } };
    // A key is not cached for longer than its caller.
    this.hashes.delete(key);
    return null;
  }

  /** @throws {BatonError} `unauthenticated` for a session that has ended, or whose key is no longer valid */
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
   * The caller of a link; `openSession` uses the link up.
   * @throws {BatonError} `unauthenticated` for a link that was used or has expired, or whose key is no longer valid
   */
  async callerOfLink(token: string): Promise<Caller> {
    const row = await findLink(this.db, hashOf(token));
    if (row === null) throw linkIsOver();
    return toCaller(row);
  }

  /** Ends a closed session at once on this coordinator. */
  forgetSession(token: string): void {
    this.sessions.forget(hashOf(token));
  }

  /** Whether the key or session token was valid when last checked. */
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

/** In a stored key, no names mean no limit; a key limited to nothing cannot be created. */
function toCaller({ id, name, role, userId, queues, types }: store.ApiKeyRow): Caller {
  return { keyId: id, name, role, userId, queues: namedOrAll(queues), types: namedOrAll(types) };
}

function namedOrAll(names: string[]): string[] | null {
  return names.length === 0 ? null : names;
}
