import { CREDENTIALS_CHECKED_EVERY_MS, type CredentialWatch } from '../domain/auth/credential-watch';
import type { Logger } from '../logger';
import { Loop } from './loop';

/** Ends waiting calls whose key, session or token is no longer valid. Reads nothing while no call waits. */
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
