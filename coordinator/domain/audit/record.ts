import type { AuditAction } from '@baton/runner-sdk/protocol';
import type { Context } from '../../context';
import * as store from '../../store/audit';
import type { Executor } from '../../store/db';
import type { Actor } from '../auth/caller';

/** What was done. Never a secret: details hold names, ids, counts and settings, not arguments or results. */
export interface AuditedAction {
  action: AuditAction;
  /** The id or name of the one thing it was done to. */
  target?: string | undefined;
  details?: Record<string, unknown> | undefined;
}

/**
 * Acts, and writes down who did it in the same transaction, so that neither is there without the other. Without an
 * actor (a clock did it) nothing is written.
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

/** What was done to jobs: to one, under its id; to several, in one entry with all their ids. */
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

/** Writes down what was done, where it was done: in the transaction that did it. */
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
