const MOST_MS = 24 * 3_600_000;

/**
 * The wait that an answer asks for with `Retry-After` (RFC 9110, 10.2.3), in milliseconds up to a day, given in seconds
 * or as a date, which is compared with the answer's own clock. Null: it asks for none.
 */
export function retryAfterMs(headers: Record<string, string | string[] | undefined>): number | null {
  const value = String(headers['retry-after'] ?? '').trim();
  if (value === '') return null;
  const waitMs = /^\d+$/.test(value)
    ? Number(value) * 1000
    : Date.parse(value) - (Date.parse(String(headers['date'])) || Date.now());
  return Number.isNaN(waitMs) ? null : Math.min(Math.max(waitMs, 0), MOST_MS);
}
