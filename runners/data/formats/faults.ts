import { NonRetryableError } from '@baton/runner-sdk';

/** The error for an invalid source; invalid rows are rejected instead. Errors worth a retry are kept. */
export function badSource(error: unknown): unknown {
  if (error instanceof NonRetryableError) return error;
  const { code = '', message = '' } = error as { code?: string; message?: string };
  return code.startsWith('CSV_') ? badFile(message) : error;
}

export function badFile(fault: string): NonRetryableError {
  return new NonRetryableError(`the source cannot be read: ${fault}`, { code: 'data_bad_source' });
}
