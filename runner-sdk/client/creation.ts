import { BatonError } from '../transport/errors';
import { storable } from '../transport/json';
import { isLarge, type Objects } from '../transport/objects';
import { idempotencyKey as idempotencyKeySchema } from '../protocol';
import { assertArguments, type JobDefinition } from './define-job';
import { fieldErrorsOf } from './schema';

// Steps common to all ways of creating jobs, before anything is sent.

export function definitionOf(target: string | JobDefinition): JobDefinition {
  return typeof target === 'string' ? { type: target, defaults: {} } : target;
}

/** The fields of a create except its arguments, as JSON text. */
export function settingsJson({ type, defaults }: JobDefinition, fields: object): string {
  return JSON.stringify({ ...defaults, ...fields, type });
}

/** Checks a key by the same rules for a single create, whose key is a header, and for one of many. */
export function assertIsKey(key: unknown, named: unknown = key): void {
  const checked = idempotencyKeySchema.safeParse(key);
  if (checked.success && typeof named === 'string' && named !== '') return;
  const [fault] = checked.success ? [] : fieldErrorsOf(checked.error);
  const message = typeof named === 'string' ? (fault?.message ?? 'must not be empty') : 'must be text';
  throw new BatonError({
    code: 'validation_failed',
    status: 0,
    detail: `idempotencyKey ${message}; nothing was sent`,
    errors: [{ path: 'idempotencyKey', message }],
  });
}

export async function assertAll(definition: JobDefinition, list: readonly unknown[]): Promise<void> {
  if (definition.arguments === undefined) return;
  for (const [index, args] of list.entries()) await assertArguments(definition, args, index);
}

/** Drops fields that are `undefined`, which must not override anything. */
export function given<Options extends object>(options: Options): Options {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as Options;
}

/** The body of a create. Throws `BatonError` when the arguments cannot be sent as JSON. */
export function creationJson(definition: JobDefinition, args: unknown, settings: string): string {
  const stored = storable(args);
  if (!stored.isStorable) {
    throw new BatonError({
      code: 'invalid_arguments',
      status: 0,
      detail: `the arguments for ${definition.type} are not JSON that can be stored: ${stored.detail}`,
    });
  }
  return stored.text === undefined ? settings : `${settings.slice(0, -1)},"arguments":${stored.text}}`;
}

/** The same with arguments that are too large for a job kept in the object store, if the coordinator has one. */
export async function withObject(
  objects: Objects,
  json: string,
  settings: string,
  signal?: AbortSignal,
): Promise<string> {
  const begin = `${settings.slice(0, -1)},"arguments":`;
  if (!isLarge(json) || !json.startsWith(begin)) return json;
  const text = json.slice(begin.length, -1);
  const reference = isLarge(text) ? await objects.store(text, signal) : null;
  return reference === null ? json : `${begin}${JSON.stringify(reference)}}`;
}
