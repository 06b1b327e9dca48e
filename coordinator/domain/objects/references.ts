import { objectReference } from '@baton/runner-sdk/protocol';
import type { Context } from '../../context';
import { BatonError } from '../../errors';
import * as store from '../../store/objects/uses';

/** A payload that may name an object. */
export interface NamedBy {
  jobId: string;
  value: unknown;
  /** Where it stands in the request. */
  field: 'arguments' | 'result';
  /** Only this user's objects may be named; null: any. */
  ownUser: string | null;
}

/** Whether the payload is a reference to an object in place of itself. */
export function isReference(value: unknown): value is { $object: unknown } {
  return typeof value === 'object' && value !== null && '$object' in value;
}

/**
 * Keeps the objects that payloads name for as long as their jobs are kept. Called before a job is stored: one that is
 * then not stored leaves a use behind that is found and deleted. Returns payloads that name nothing that is there.
 */
export async function keepObjects<Item>(
  context: Context,
  items: readonly Item[],
  named: (item: Item) => NamedBy,
): Promise<Map<Item, BatonError>> {
  const faults = new Map<Item, BatonError>();
  if (context.objects === null) return faults;
  const uses: (NamedBy & { item: Item; objectId: string })[] = [];
  for (const item of items) {
    const one = named(item);
    if (!isReference(one.value)) continue;
    const read = objectReference.safeParse(one.value);
    if (read.success) uses.push({ ...one, item, objectId: read.data.$object.id });
    else faults.set(item, refusal(one.field, 'holds $object, and so must be a reference as POST /objects gave it'));
  }
  if (uses.length === 0) return faults;
  const kept = await store.keepUses(context.db.vital, uses);
  for (const { item, field, jobId, objectId } of uses)
    if (!kept.has(`${objectId} ${jobId}`)) faults.set(item, refusal(field, 'names an object that is not there'));
  return faults;
}

function refusal(field: string, message: string): BatonError {
  return new BatonError('validation_failed', `${field} ${message}.`, { errors: [{ path: field, message }] });
}
