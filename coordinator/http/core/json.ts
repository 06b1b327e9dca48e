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

function cut(value: unknown, depth: number): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if (depth > MOST_DEPTH) return CUT;
  if (Array.isArray(value)) return value.map((one) => cut(one, depth + 1));
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, cut(one, depth + 1)]));
}
