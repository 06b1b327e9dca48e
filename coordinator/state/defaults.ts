import { DEFAULT_MAX_ATTEMPTS, DEFAULT_RETRY, DEFAULT_TIMEOUT_MS, type RetryPolicy } from '@baton/runner-sdk/protocol';

/** Values of fields that a create leaves out: the queue's, else those of the settings, else those of the contract. */
export interface Defaults {
  priority: number;
  maxAttempts: number;
  timeoutMs: number;
  retry: RetryPolicy;
}

/** As stored for jobs that are created in SQL, where a missing policy means the contract's. */
export function storedDefaults({ retry, ...others }: Defaults): { [name: string]: number | RetryPolicy } {
  return retry === DEFAULT_RETRY ? others : { ...others, retry };
}

export const CONTRACT_DEFAULTS: Defaults = {
  priority: 0,
  maxAttempts: DEFAULT_MAX_ATTEMPTS,
  timeoutMs: DEFAULT_TIMEOUT_MS,
  retry: DEFAULT_RETRY,
};
