import { BatonError } from '../../errors';
import { type FailedLogins, sourceOf } from './failed-logins';
import type { ApiKeyCache, Login } from './api-key-cache';
import { hashOf, publicIdOf } from './keys';
import { isToken, type TokenVerifier } from './tokens';

/**
 * Checks every credential. Repeated bad credentials are throttled, by source and by key id, which does not slow down
 * valid ones.
 */
export class Authenticator {
  constructor(
    private readonly keys: ApiKeyCache,
    private readonly tokens: TokenVerifier | null,
    private readonly failures: FailedLogins,
    /** Called once per minute and source while the source is throttled. */
    private readonly onThrottled: (source: string) => void,
  ) {}

  /** The caller of a key that was valid a moment ago; such a key is accepted whatever else comes from its address. */
  recall(bearer: string): Login | null {
    return this.keys.recall(bearer);
  }

  /**
   * @throws {BatonError} `unauthenticated`, the same for every kind of bad key; `rate_limited` after too many of them
   */
  async authenticate(bearer: string, address: string): Promise<Login> {
    const { tokens } = this;
    if (tokens !== null && isToken(bearer))
      return this.judged(address, null, async () => ({ ...(await tokens.verify(bearer)), sessionEndsAt: null }));
    return this.authenticateKey(bearer, address);
  }

  /** @throws {BatonError} as `authenticate` */
  async authenticateKey(key: string, address: string): Promise<Login> {
    this.requireNotThrottled(() => this.keys.wasGood(key), address);
    return this.judged(address, publicIdOf(key), async () => ({
      caller: await this.keys.callerOf(key),
      sessionEndsAt: null,
      credential: { kind: 'key' as const, hash: hashOf(key) },
    }));
  }

  /** @throws {BatonError} as `authenticate` */
  async authenticateSession(token: string, address: string): Promise<Login> {
    this.requireNotThrottled(() => this.keys.wasGood(token), address);
    return this.judged(address, null, () => this.keys.callerOfSession(token));
  }

  /**
   * Uses up the link.
   * @throws {BatonError} as `authenticate`
   */
  async authenticateLink(token: string, address: string): Promise<Login> {
    this.requireNotThrottled(() => false, address);
    return this.judged(address, null, async () => ({
      caller: await this.keys.callerOfLink(token),
      sessionEndsAt: null,
      credential: null,
    }));
  }

  /** Keeps guessed keys, sessions and links away from the database. */
  private requireNotThrottled(wasGood: () => boolean, address: string): void {
    const source = sourceOf(address);
    const waitMs = this.failures.waitMs(source);
    if (waitMs === 0 || wasGood() || this.failures.takeChance(source)) return;
    this.failures.add(source);
    throw tooMany(waitMs);
  }

  private async judged(address: string, keyId: string | null, look: () => Promise<Login>): Promise<Login> {
    try {
      return await look();
    } catch (error) {
      if (!(error instanceof BatonError) || error.code !== 'unauthenticated') throw error;
      const names = [sourceOf(address), ...(keyId === null ? [] : [`key ${keyId}`])];
      for (const name of names) if (this.failures.add(name)) this.onThrottled(name);
      const waitMs = Math.max(...names.map((name) => this.failures.waitMs(name)));
      throw waitMs > 0 ? tooMany(waitMs) : error;
    }
  }
}

function tooMany(waitMs: number): BatonError {
  return new BatonError('rate_limited', 'Too many bad credentials came from here, or for this key.', {
    retryAfterMs: waitMs,
  });
}
