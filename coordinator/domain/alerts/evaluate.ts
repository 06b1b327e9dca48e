import type { Context } from '../../context';
import * as store from '../../store/alerts';
import type { Executor } from '../../store/db';
import { tell } from '../../store/events';
import { judge } from './judge';

const BATCH = 20;

/** What is reported about an alert, to the log, to listeners and to webhooks. */
export interface AlertEvent {
  name: 'alert.firing' | 'alert.resolved';
  details: Record<string, unknown>;
}

/**
 * Evaluates rules that were last evaluated at least `everyMs` ago. One transaction locks each, judges it, moves it and
 * stores what is reported, so each firing and each recovery is reported once, whichever coordinators evaluate.
 * @returns whether there may be more
 */
export async function evaluate(context: Context, everyMs: number): Promise<boolean> {
  const { told, count } = await context.db.transaction(async (transaction) => {
    const alerts = await store.lockDue(transaction, everyMs, BATCH);
    const all: AlertEvent[] = [];
    for (const alert of alerts) all.push(...(await evaluateOne(transaction, alert)));
    return { told: all, count: alerts.length };
  });
  log(context, told);
  return count === BATCH;
}

async function evaluateOne(transaction: Executor, alert: store.DueAlert): Promise<AlertEvent[]> {
  const value = await store.measure(transaction, alert);
  const state = judge(alert, value);
  await store.move(transaction, alert, state, value);
  if (state === 'firing' && alert.state !== 'firing')
    return [await write(transaction, alertEventOf('alert.firing', alert, { value }))];
  if (state === 'ok' && alert.state === 'firing')
    return [
      await write(transaction, alertEventOf('alert.resolved', alert, { value, firedAt: alert.since.toISOString() })),
    ];
  return [];
}

export function alertEventOf(
  name: AlertEvent['name'],
  alert: store.AlertRow,
  more: Record<string, unknown>,
): AlertEvent {
  const { id, name: rule, measure, threshold, windowMs, queue, type } = alert;
  const message = name === 'alert.firing' ? alert.message : alert.recoveredMessage;
  return { name, details: { alertId: id, alert: rule, measure, threshold, windowMs, queue, type, message, ...more } };
}

/** Call it in the transaction that moves the alert. */
export async function write(transaction: Executor, told: AlertEvent): Promise<AlertEvent> {
  await tell(transaction, { name: told.name, userId: null, details: told.details });
  return told;
}

/** Call it after the commit. */
export function log({ log: logger }: Context, told: readonly AlertEvent[]): void {
  for (const {
    name,
    details: { message, ...rest },
  } of told) {
    // Log lines have a `message` of their own.
    if (name === 'alert.firing') logger.warn(name, { ...rest, note: message });
    else logger.info(name, { ...rest, note: message });
  }
}
