/** Deeper than anything that the payload gate lets in, with the reply's own levels around it. */
const MOST_DEPTH = 100;
const CUT = '(too deep to be sent)';

/**
 * A reply as text. A row that was written past the payload gate may be nested so deep that JSON.stringify exhausts the
 * stack: then what is too deep is left out, and the other rows of the list are still told.
 */
export function toJson(body: unknown): string {
  try {
    return JSON.stringify(body);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    return JSON.stringify(cut(body, 0));
  }
}

/** Joined, longer text would hold the event loop while it is copied. */
const MOST_JOINED = 1024 * 1024;

/** A list as JSON text between two others: one text, or, when it is long, its pieces. */
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
