/** Deeper than payload validation allows, including the levels of the reply around a payload. */
const MOST_DEPTH = 100;
const CUT = '(too deep to be sent)';

/**
 * A reply as JSON text. A row that was written directly to the table may be nested so deeply that JSON.stringify
 * exhausts the stack: then the parts that are too deep are left out, and the other rows of the list are still returned.
 */
export function toJson(body: unknown): string {
  try {
    return JSON.stringify(body);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    return JSON.stringify(cut(body, 0));
  }
}

/** Longer text is not joined, because copying it would block the event loop. */
const MOST_JOINED = 1024 * 1024;

/** A list as JSON text between two other texts: one string, or its pieces when it is long. */
export function listText(before: string, items: readonly string[], after: string): string | string[] {
  const length = items.reduce((sum, { length }) => sum + length, 0);
  if (length <= MOST_JOINED) return `${before}[${items.join(',')}]${after}`;
  return [`${before}[`, ...items.map((item, index) => (index === 0 ? item : `,${item}`)), `]${after}`];
}

function cut(value: unknown, depth: number): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if (depth > MOST_DEPTH) return CUT;
  if (Array.isArray(value)) return value.map((one) => cut(one, depth + 1));
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, cut(one, depth + 1)]));
}
