import { NonRetryableError } from '@baton/runner-sdk';

/** For a source as a whole; rows that are bad are rejected instead. Errors that are worth another try stay what they are. */
export function badSource(error: unknown): unknown {
  if (error instanceof NonRetryableError) return error;
  const { code = '', message = '' } = error as { code?: string; message?: string };
  return code.startsWith('CSV_') ? badFile(message) : error;
}

export function badFile(fault: string): NonRetryableError {
  return new NonRetryableError(`the source cannot be read: ${fault}`, { code: 'data_bad_source' });
}
