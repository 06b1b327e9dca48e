import { z } from 'zod';
import { isStorableText } from './primitives';

/** JSON as it may be stored. */
export type Json = string | number | boolean | null | Json[] | { [key: string]: Json };

/** Limits of payload validation; `docs/protocol.md` states them as part of the contract. */
export const PAYLOAD_LIMITS = { depth: 64, nodes: 10_000, magnitude: 1e21 } as const;

/** Keys that cause prototype pollution when a careless reader merges the object. */
const FORBIDDEN_KEYS = new Set(['__proto__', 'constructor']);

/**
 * Payload validation: the first fault of `value` that would make it unstorable, unreadable or dangerous to its readers,
 * or `null`. Iterates instead of recursing, so that depth cannot exhaust the stack, and stops at the first fault.
 */
export function payloadFault(value: unknown): { path: (string | number)[]; message: string } | null {
  const open: { value: unknown; path: (string | number)[]; depth: number }[] = [{ value, path: [], depth: 1 }];
  let nodes = 0;
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    nodes += 1;
    if (nodes > PAYLOAD_LIMITS.nodes) return { path: [], message: `holds more than ${PAYLOAD_LIMITS.nodes} values` };
    const message = scalarFault(next.value, next.depth);
    if (message !== null) return { path: next.path, message };
    if (typeof next.value !== 'object' || next.value === null) continue;
    if (Object.keys(next.value).length + nodes > PAYLOAD_LIMITS.nodes) {
      return { path: [], message: `holds more than ${PAYLOAD_LIMITS.nodes} values` };
    }
    const isList = Array.isArray(next.value);
    for (const [key, child] of Object.entries(next.value)) {
      if (!isList && FORBIDDEN_KEYS.has(key))
        return { path: [...next.path, key], message: `must not have a key named ${key}` };
      if (!isList && !isStorableText(key))
        return { path: next.path, message: 'has a key with NUL or a lone surrogate' };
      open.push({ value: child, path: [...next.path, isList ? Number(key) : key], depth: next.depth + 1 });
    }
  }
  return null;
}

function scalarFault(value: unknown, depth: number): string | null {
  if (depth > PAYLOAD_LIMITS.depth) return `is nested deeper than ${PAYLOAD_LIMITS.depth} levels`;
  switch (typeof value) {
    case 'string':
      return isStorableText(value) ? null : 'must not contain NUL or lone surrogates';
    case 'number':
      return Math.abs(value) <= PAYLOAD_LIMITS.magnitude
        ? null
        : `must be a number between -${PAYLOAD_LIMITS.magnitude} and ${PAYLOAD_LIMITS.magnitude}; send larger ones as text`;
    case 'bigint':
      return `must not be a whole number that double precision changes; send ${String(value).slice(0, 40)} as text`;
    case 'boolean':
      return null;
    case 'object':
      return null;
    default:
      return 'is not JSON';
  }
}

/** Any JSON value that passes payload validation. */
export const payload = z.custom<Json>().superRefine((value, context) => {
  const fault = payloadFault(value);
  if (fault !== null) context.addIssue({ code: 'custom', path: fault.path, message: fault.message });
});

/** A JSON object that passes payload validation. */
export const payloadObject = payload
  .refine(
    (value): value is { [key: string]: Json } => typeof value === 'object' && value !== null && !Array.isArray(value),
    'must be a JSON object',
  )
  .meta({ type: 'object', additionalProperties: {} });

/**
 * A payload in a report of a failure: if it does not pass validation, or is longer than this as JSON, it is dropped,
 * and the drop is marked.
 */
export function cleanedPayload(mostCharacters: number) {
  return z.unknown().transform((value): Json => {
    const fault = payloadFault(value);
    if (fault !== null) return { dropped: `${fault.path.join('.').slice(0, 200) || 'value'} ${fault.message}` };
    const characters = value === undefined ? 0 : JSON.stringify(value).length;
    return characters <= mostCharacters
      ? (value as Json)
      : { dropped: `takes ${characters} characters as JSON; at most ${mostCharacters} are kept` };
  });
}
