import { BatonError } from '../../errors';

/** A refusal when the value takes more bytes as JSON than one payload may; else null. */
export function requireSize(value: unknown, field: string, maxBytes: number): BatonError | null {
  if (value === undefined) return null;
  const bytes = Buffer.byteLength(JSON.stringify(value));
  if (bytes <= maxBytes) return null;
  const message = `takes ${bytes} bytes as JSON; at most ${maxBytes} are allowed`;
  return new BatonError(
    'payload_too_large',
    `${field} ${message}. Store the data elsewhere and send a reference to it.`,
    {
      errors: [{ path: field, message }],
    },
  );
}
