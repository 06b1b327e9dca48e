import { inspect, types } from 'node:util';
import { isErrorLike } from './error-like';
import { payloadFault, type Json } from '../protocol';

export type Storable =
  { isStorable: true; json: Json | undefined; text: string | undefined } | { isStorable: false; detail: string };

/**
 * The value as the JSON that would be sent and stored, and its text; or why it cannot be: it is circular, contains
 * values that JSON would empty (a Map, an invalid Date, an instance without fields) or numbers that JSON cannot
 * represent, or does not pass payload validation. Errors within it are written with name, message and stack.
 * `undefined` stays undefined.
 */
export function storable(value: unknown): Storable {
  if (value === undefined) return { isStorable: true, json: undefined, text: undefined };
  if (value === null || typeof value === 'boolean') return { isStorable: true, json: value, text: String(value) };
  try {
    const text = JSON.stringify(value, refuseWhatJsonLoses) as string | undefined;
    if (text === undefined) return { isStorable: false, detail: `a ${typeof value} is not JSON` };
    const json = JSON.parse(text) as Json;
    const fault = payloadFault(json);
    if (fault === null) return { isStorable: true, json, text };
    return { isStorable: false, detail: `${fault.path.join('.') || 'the value'} ${fault.message}` };
  } catch (error) {
    return { isStorable: false, detail: isErrorLike(error) ? String(error.message) : inspect(error) };
  }
}

/** Most characters of a log line's fields. */
const FIELDS_LENGTH = 16_000;

/** A snapshot of a log line's fields as JSON; values that JSON cannot represent are described. Never throws. */
export function loggable(fields: unknown): Json | undefined {
  if (fields === undefined) return undefined;
  try {
    const text = JSON.stringify(fields, describeWhatJsonLoses) as string | undefined;
    if (text === undefined) return undefined;
    return text.length > FIELDS_LENGTH
      ? { dropped: `fields of ${text.length} characters, over ${FIELDS_LENGTH}` }
      : (JSON.parse(text) as Json);
  } catch (error) {
    return { dropped: isErrorLike(error) ? String(error.message) : 'the fields cannot be written as JSON' };
  }
}

/**
 * Called by `JSON.stringify` with the object that contains the value: `value` itself has already been through `toJSON`.
 */
function refuseWhatJsonLoses(this: Record<string, unknown>, key: string, value: unknown): unknown {
  if (typeof value === 'number') {
    if (Number.isFinite(value)) return value;
    throw new TypeError(`${key || 'the value'} is ${value}, which JSON cannot hold`);
  }
  if (typeof value === 'bigint')
    throw new TypeError(`${key || 'the value'} is a BigInt, which JSON cannot hold; use text`);
  const given: unknown = Reflect.get(this, key);
  if (typeof given !== 'object' || given === null) return value;
  const { what, instead } = loss(given, value) ?? {};
  if (what === undefined) return value;
  if (key !== '' && given === value && isErrorLike(given)) return errorFields(given);
  throw new TypeError(`${key || 'the value'} is ${what}, which JSON cannot hold; ${instead}`);
}

function describeWhatJsonLoses(this: Record<string, unknown>, key: string, value: unknown): unknown {
  if (typeof value === 'bigint') return value.toString();
  if (typeof value === 'number') return Number.isFinite(value) ? value : String(value);
  const given: unknown = Reflect.get(this, key);
  if (typeof given !== 'object' || given === null || loss(given, value) === null) return value;
  if (isErrorLike(given)) return errorFields(given);
  if (types.isSet(given)) return [...given];
  if (types.isMap(given)) return [...given];
  return inspect(given, { depth: 2, breakLength: Infinity, maxArrayLength: 100, maxStringLength: 1000 });
}

interface Loss {
  what: string;
  instead: string;
}

/** What JSON would lose of `given`, which became `value`; `null`: nothing. */
function loss(given: object, value: unknown): Loss | null {
  // It has its own `toJSON`, and only that of an invalid Date returns null for something.
  if (given !== value)
    return types.isDate(given) && value === null
      ? { what: 'an invalid Date', instead: 'give a valid one, or null' }
      : null;
  if (Array.isArray(given)) return null;
  const prototype = Object.getPrototypeOf(given) as object | null;
  // A plain object, of this realm or another.
  if (prototype === null || Object.getPrototypeOf(prototype) === null) return null;
  if (types.isBoxedPrimitive(given))
    return Number.isNaN(Number(given)) && types.isNumberObject(given) ? NOT_A_NUMBER : null;
  if (isErrorLike(given)) return { what: 'an Error', instead: 'throw it, or give its message' };
  if (types.isPromise(given)) return { what: 'a Promise', instead: 'await it first' };
  if (types.isMap(given)) return { what: 'a Map', instead: 'give Object.fromEntries(map), or [...map]' };
  if (types.isSet(given)) return { what: 'a Set', instead: 'give [...set]' };
  if (ArrayBuffer.isView(given) || types.isAnyArrayBuffer(given))
    return { what: `a ${nameOf(given)}`, instead: 'give base64 text, or Array.from(it)' };
  if (isIterator(given)) return { what: 'an iterator', instead: 'collect what it yields into an array' };
  if (Object.keys(given).length > 0) return null;
  return { what: `a ${nameOf(given)} without fields of its own`, instead: 'give a plain object with what it holds' };
}

const NOT_A_NUMBER: Loss = { what: 'NaN', instead: 'give null' };

/** Whether it is an iterator, such as the result of calling a generator, whose body has not run. */
export function isIterator(value: unknown): boolean {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
  if (types.isGeneratorObject(value)) return true;
  if (!(Symbol.iterator in value || Symbol.asyncIterator in value)) return false;
  return 'next' in value && typeof value.next === 'function';
}

const MOST_CAUSES = 5;

function errorFields(error: object, depth = 0): Record<string, unknown> {
  const { name, message, stack, code, cause, errors } = error as Record<string, unknown>;
  const nested = (one: unknown): unknown => {
    if (!isErrorLike(one)) return one;
    return depth < MOST_CAUSES ? errorFields(one, depth + 1) : String(one.message);
  };
  return {
    name,
    message,
    stack,
    ...(['string', 'number'].includes(typeof code) && { code }),
    ...(cause !== undefined && { cause: nested(cause) }),
    ...(Array.isArray(errors) && { errors: errors.map(nested) }),
  };
}

function nameOf(value: object): string {
  return (value.constructor as { name?: string } | undefined)?.name || 'object';
}
