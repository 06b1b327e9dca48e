import { BatonError } from '../../errors';

/** Size of the value as JSON, in bytes; 0 for undefined. */
export function payloadBytes(value: unknown): number {
  return value === undefined ? 0 : Buffer.byteLength(JSON.stringify(value));
}

/** An error when the value is larger than `maxBytes` as JSON; else null. */
export function requireSize(value: unknown, field: string, maxBytes: number): BatonError | null {
  return requireBytes(payloadBytes(value), field, maxBytes);
}

/** The same for a known size. */
export function requireBytes(bytes: number, field: string, maxBytes: number): BatonError | null {
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
