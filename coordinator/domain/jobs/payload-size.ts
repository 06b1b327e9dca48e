import { BatonError } from '../../errors';

/** How many bytes the value takes as JSON; none, if it was left out. */
export function payloadBytes(value: unknown): number {
  return value === undefined ? 0 : Buffer.byteLength(JSON.stringify(value));
}

/** A refusal when the value takes more bytes as JSON than one payload may; else null. */
export function requireSize(value: unknown, field: string, maxBytes: number): BatonError | null {
  return requireBytes(payloadBytes(value), field, maxBytes);
}

/** The same for a value whose bytes were counted. */
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
