import type { EditAlert, NewAlert } from '@baton/runner-sdk/protocol';
import type { Context } from '../../context';
import { BatonError } from '../../errors';
import * as store from '../../store/alerts';
import { type Executor, isUniqueViolation } from '../../store/db';
import { record } from '../audit/record';
import type { Actor } from '../auth/caller';
import { log, type AlertEvent, alertEventOf, write } from './evaluate';
import { isAbove } from './judge';

/** @throws {BatonError} `state_conflict` when the name is taken */
export async function createAlert(context: Context, by: Actor, wanted: NewAlert): Promise<store.AlertRow> {
  return named(wanted.name, () =>
    context.db.transaction(async (transaction) => {
      const row = await store.insert(transaction, wanted);
      await record(transaction, by, [{ action: 'alert.created', target: row.id, details: { ...wanted } }]);
      return row;
    }),
  );
}

/**
 * Changes a rule. A firing one that is disabled is reported as resolved.
 * @throws {BatonError} `not_found`; `state_conflict`
 */
export async function editAlert(context: Context, by: Actor, id: string, edit: EditAlert): Promise<store.AlertRow> {
  const { row, told } = await named(edit.name ?? '', () =>
    context.db.transaction(async (transaction) => {
      const former = await lockOrThrow(transaction, id);
      const ended =
        former.state === 'firing' && edit.enabled === false
          ? [await write(transaction, alertEventOf('alert.resolved', former, { reason: 'disabled' }))]
          : [];
      const row = await store.update(transaction, former, { ...former, ...defined(edit) });
      await record(transaction, by, [{ action: 'alert.edited', target: id, details: { ...edit } }]);
      return { row, told: ended };
    }),
  );
  log(context, told);
  return row;
}

/**
 * Deletes a rule. A firing one is reported as resolved.
 * @throws {BatonError} `not_found`
 */
export async function deleteAlert(context: Context, by: Actor, id: string): Promise<void> {
  const told = await context.db.transaction(async (transaction): Promise<AlertEvent[]> => {
    const row = await lockOrThrow(transaction, id);
    await store.remove(transaction, id);
    await record(transaction, by, [{ action: 'alert.deleted', target: id, details: { name: row.name } }]);
    return row.state === 'firing'
      ? [await write(transaction, alertEventOf('alert.resolved', row, { reason: 'deleted' }))]
      : [];
  });
  log(context, told);
}

/**
 * Measures now and reports a firing, marked as a test; the rule's state does not change.
 * @throws {BatonError} `not_found`
 */
export async function testAlert(
  context: Context,
  by: Actor,
  id: string,
): Promise<{ value: number | null; isAbove: boolean }> {
  const { value, threshold, told } = await context.db.transaction(async (transaction) => {
    const row = await lockOrThrow(transaction, id);
    const measured = await store.measure(transaction, row);
    const written = await write(transaction, alertEventOf('alert.firing', row, { value: measured, isTest: true }));
    await record(transaction, by, [{ action: 'alert.tested', target: id }]);
    return { value: measured, threshold: row.threshold, told: [written] };
  });
  log(context, told);
  return { value, isAbove: isAbove(value, threshold) };
}

export async function findAlert(context: Context, id: string): Promise<store.AlertRow> {
  return orNotFound(await store.get(context.db, id), id);
}

async function lockOrThrow(transaction: Executor, id: string): Promise<store.AlertRow> {
  return orNotFound(await store.lock(transaction, id), id);
}

function orNotFound(row: store.AlertRow | null, id: string): store.AlertRow {
  if (row === null) throw new BatonError('not_found', `There is no alert with id ${id}.`);
  return row;
}

async function named<Done>(name: string, act: () => Promise<Done>): Promise<Done> {
  try {
    return await act();
  } catch (error) {
    if (isUniqueViolation(error, 'alerts_name_key'))
      throw new BatonError(
        'state_conflict',
        `There is an alert with the name ${JSON.stringify(name)} already; give this one another.`,
      );
    throw error;
  }
}

function defined(edit: EditAlert): Partial<NewAlert> {
  return Object.fromEntries(Object.entries(edit).filter(([, value]) => value !== undefined));
}
