import type { AuditAction } from '@baton/runner-sdk/protocol';
import type { Context } from '../../context';
import * as store from '../../store/audit';
import type { Executor } from '../../store/db';
import type { Actor } from '../auth/caller';

/**
 * An action to be audited. Never contains a secret: details are names, ids, counts and settings, not arguments or
 * results.
 */
export interface AuditedAction {
  action: AuditAction;
  /** The id or name of its only target. */
  target?: string | undefined;
  details?: Record<string, unknown> | undefined;
}

/**
 * Acts, and stores who did it in the same transaction, so that neither exists without the other. Without an actor (a
 * loop did it) nothing is stored.
 */
export function audited<Done>(
  context: Context,
  by: Actor | null,
  act: (db: Executor) => Promise<Done>,
  actionsOf: (done: Done) => AuditedAction[],
): Promise<Done> {
  if (by === null) return act(context.db);
  return context.db.transaction(async (transaction) => {
    const done = await act(transaction);
    await record(transaction, by, actionsOf(done));
    return done;
  });
}

/** The action on jobs: for one job with its id as target; for several one entry with all ids. */
export function jobActions(
  [one, several]: [AuditAction, AuditAction],
  jobs: { id: string }[],
  details: Record<string, unknown> = {},
): AuditedAction[] {
  const [first] = jobs;
  if (first === undefined) return [];
  return jobs.length === 1
    ? [{ action: one, target: first.id, details }]
    : [{ action: several, details: { ...details, jobs: jobs.map(({ id }) => id) } }];
}

/** Stores audit entries, in the transaction that did the action. */
export function record(transaction: Executor, by: Actor, actions: AuditedAction[]): Promise<void> {
  return store.insert(
    transaction,
    actions.map(({ action, target, details }) => ({
      action,
      target: target ?? null,
      ...by,
      details: details ?? {},
    })),
  );
}
