import * as store from '../../store/api-keys';
import type { Executor } from '../../store/db';

/** A credential that can end: a key or a browser's session by its hash, a token by its expiry. */
export type Credential = { kind: 'key' | 'session'; hash: string } | { kind: 'token'; endsAt: number };

/** How often the credentials of waiting calls are checked, in one statement for all. */
export const CREDENTIALS_CHECKED_EVERY_MS = 1500;
/** A check this recent is good enough for an answer. */
const FRESH_MS = 3500;

interface WatchedCredential {
  credential: Credential;
  goodAt: number;
  onEnd: Set<() => void>;
}

/**
 * Watches the credentials of waiting calls: parked claims, waits, event streams. Each is checked repeatedly while its
 * call waits, and when it ends, so does the call. So a key gets no answers for longer than five seconds after it was
 * revoked or has expired, on whichever coordinator.
 */
export class CredentialWatch {
  private readonly watched = new Map<string, WatchedCredential>();

  constructor(private readonly db: Executor) {}

  /**
   * @param onEnd called when the credential is no longer valid
   * @returns call it when the call no longer waits
   */
  watch(credential: Credential, onEnd: () => void): () => void {
    const name = nameOf(credential);
    let watched = this.watched.get(name);
    if (watched === undefined) {
      watched = { credential, goodAt: performance.now(), onEnd: new Set() };
      this.watched.set(name, watched);
    }
    const listeners = watched.onEnd.add(onEnd);
    return () => {
      listeners.delete(onEnd);
      if (listeners.size === 0 && this.watched.get(name)?.onEnd === listeners) this.watched.delete(name);
    };
  }

  /** Number of credentials of waiting calls. */
  get size(): number {
    return this.watched.size;
  }

  /**
   * Whether a call that waited with it may be answered. Checked only if that was not done recently.
   * @throws {BatonError} `unavailable` when it cannot be checked
   */
  isGood(credential: Credential): boolean | Promise<boolean> {
    if (credential.kind === 'token') return Date.now() < credential.endsAt;
    const watched = this.watched.get(nameOf(credential));
    if (watched !== undefined && performance.now() - watched.goodAt < FRESH_MS) return true;
    return this.lookUp([credential]).then((good) => good.has(nameOf(credential)));
  }

  /** Checks all of them, and ends the calls of those that are no longer valid. */
  async check(): Promise<void> {
    const asked = [...this.watched.values()];
    if (asked.length === 0) return;
    const askedAt = performance.now();
    const stored = asked.flatMap(({ credential }) => (credential.kind === 'token' ? [] : [credential]));
    const good = stored.length === 0 ? new Set<string>() : await this.lookUp(stored);
    for (const watched of asked) {
      const { credential } = watched;
      const isGood = credential.kind === 'token' ? Date.now() < credential.endsAt : good.has(nameOf(credential));
      if (isGood) watched.goodAt = askedAt;
      else this.end(watched);
    }
  }

  private end(watched: WatchedCredential): void {
    const name = nameOf(watched.credential);
    // Later calls have an entry of their own, which the next round checks.
    if (this.watched.get(name) === watched) this.watched.delete(name);
    for (const onEnd of [...watched.onEnd]) onEnd();
  }

  private async lookUp(credentials: { kind: 'key' | 'session'; hash: string }[]): Promise<Set<string>> {
    const of = (wanted: string) => credentials.filter(({ kind }) => kind === wanted).map(({ hash }) => hash);
    const found = await store.findGood(this.db, { keys: of('key'), sessions: of('session') });
    return new Set(found.map(nameOf));
  }
}

function nameOf(credential: Credential): string {
  return credential.kind === 'token' ? `token ${credential.endsAt}` : `${credential.kind} ${credential.hash}`;
}
