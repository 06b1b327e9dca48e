const MOST_DEPTH = 32;
const MOST_NODES = 2000;
const MOST_TEXT = 65_536;

export type Json = string | number | boolean | null | Json[] | { [key: string]: Json };

/** The value at a JSON pointer (RFC 6901); undefined: there is none. */
export function at(value: unknown, pointer: string): unknown {
  return pointer
    .split('/')
    .slice(1)
    .map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'))
    .reduce<unknown>(
      (inside, part) =>
        typeof inside === 'object' && inside !== null && Object.hasOwn(inside, part)
          ? Reflect.get(inside, part)
          : undefined,
      value,
    );
}

/**
 * A value as results may contain it: texts without characters that cannot be stored, and shortened. Undefined: it is
 * too deep or too large, which must not fail the job, because the answer comes from another server.
 */
export function storable(value: unknown, change: (text: string) => string): Json | undefined {
  let nodes = 0;
  const copy = (one: unknown, depth: number): Json => {
    nodes += 1;
    if (depth > MOST_DEPTH || nodes > MOST_NODES) throw new RangeError('too large');
    if (typeof one === 'string') return clean(change(one)).slice(0, MOST_TEXT);
    if (Array.isArray(one)) return one.map((inner) => copy(inner, depth + 1));
    if (typeof one !== 'object' || one === null) return (one ?? null) as Json;
    const entries = Object.entries(one).filter(([key]) => key !== '__proto__' && key !== 'constructor');
    return Object.fromEntries(entries.map(([key, inner]) => [clean(key), copy(inner, depth + 1)]));
  };
  try {
    return copy(value, 0);
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}

/** Without NUL and halves of characters, which the coordinator refuses. */
export function clean(text: string): string {
  return text.toWellFormed().replaceAll('\0', '\ufffd');
}
