import { DEFAULT_MAX_ATTEMPTS, DEFAULT_RETRY, DEFAULT_TIMEOUT_MS, type RetryPolicy } from '@baton/runner-sdk/protocol';

/** What a job has whose create leaves it out: as its queue says, else as the settings say, else as the contract says. */
export interface Defaults {
  priority: number;
  maxAttempts: number;
  timeoutMs: number;
  retry: RetryPolicy;
}

/** As they are written down for jobs that SQL creates, where no policy means the contract's. */
export function storedDefaults({ retry, ...others }: Defaults): { [name: string]: number | RetryPolicy } {
  return retry === DEFAULT_RETRY ? others : { ...others, retry };
}

export const CONTRACT_DEFAULTS: Defaults = {
  priority: 0,
  maxAttempts: DEFAULT_MAX_ATTEMPTS,
  timeoutMs: DEFAULT_TIMEOUT_MS,
  retry: DEFAULT_RETRY,
};
