import { QueryClient } from '@tanstack/react-query';
import { ApiError } from './problem';

const MOST_RETRIES = 2;

/**
 * What was read, by what was asked. Reads are repeated when events say that something changed, and when a tab is looked
 * at again; a tab that is hidden asks nothing.
 */
export const queryClient = new QueryClient({
  defaultOptions: {
    queries: {
      staleTime: 1000,
      retry: (failures, error) => failures < MOST_RETRIES && mayPass(error),
      retryDelay: (failures, error) =>
        error instanceof ApiError && error.retryAfterMs !== null ? error.retryAfterMs : 500 * 2 ** failures,
      // Whether the machine says it is online tells nothing of a coordinator on the loopback.
      networkMode: 'always',
    },
    mutations: { networkMode: 'always' },
  },
});

/** A refusal stays one; what could not be reached, or was busy, may come back. */
function mayPass(error: unknown): boolean {
  return error instanceof ApiError && (error.isUnreachable || error.status === 429 || error.status >= 502);
}
