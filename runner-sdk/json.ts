import { payloadFault, type Json } from './protocol';

export type Storable =
  { isStorable: true; json: Json | undefined; text: string | undefined } | { isStorable: false; detail: string };

/**
 * The value as the JSON that would be sent and stored, and that as text; or why it cannot be: it is
 * circular, holds numbers that JSON has no word for, or does not pass the payload gate. `undefined` stays undefined.
 */
export function storable(value: unknown): Storable {
  if (value === undefined) return { isStorable: true, json: undefined, text: undefined };
  if (value === null || typeof value === 'boolean') return { isStorable: true, json: value, text: String(value) };
  try {
    const text = JSON.stringify(value, refuseUnspeakableNumbers) as string | undefined;
    if (text === undefined) return { isStorable: false, detail: `a ${typeof value} is not JSON` };
    const json = JSON.parse(text) as Json;
    const fault = payloadFault(json);
    if (fault === null) return { isStorable: true, json, text };
    return { isStorable: false, detail: `${fault.path.join('.') || 'the value'} ${fault.message}` };
  } catch (error) {
    return { isStorable: false, detail: error instanceof Error ? error.message : String(error) };
  }
}

/** The longest text of a log line's fields. */
const FIELDS_LENGTH = 16_000;

/** A snapshot of a log line's fields as JSON; what cannot be written is marked, never thrown. */
export function loggable(fields: unknown): Json | undefined {
  if (fields === undefined) return undefined;
  try {
    const text = JSON.stringify(fields, describeOddValues) as string | undefined;
    if (text === undefined) return undefined;
    return text.length > FIELDS_LENGTH
      ? { dropped: `fields of ${text.length} characters, over ${FIELDS_LENGTH}` }
      : (JSON.parse(text) as Json);
  } catch (error) {
    return { dropped: error instanceof Error ? error.message : 'the fields cannot be written as JSON' };
  }
}

function refuseUnspeakableNumbers(key: string, value: unknown): unknown {
  if (typeof value !== 'number' || Number.isFinite(value)) return value;
  throw new TypeError(`${key || 'the value'} is ${value}, which JSON cannot hold`);
}

function describeOddValues(_key: string, value: unknown): unknown {
  if (value instanceof Error) return { name: value.name, message: value.message, stack: value.stack };
  return typeof value === 'bigint' ? value.toString() : value;
}
