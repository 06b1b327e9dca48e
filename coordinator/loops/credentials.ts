import { CREDENTIALS_CHECKED_EVERY_MS, type CredentialWatch } from '../domain/auth/credential-watch';
import type { Logger } from '../logger';
import { Loop } from './loop';

/** Ends calls that wait with a key, session or token that is good no longer. While none waits it asks nothing. */
export function credentialsLoop(watch: CredentialWatch, log: Logger): Loop {
  return new Loop({
    name: 'checking of credentials',
    intervalMs: CREDENTIALS_CHECKED_EVERY_MS,
    log,
    async round() {
      await watch.check();
      return false;
    },
  });
}
