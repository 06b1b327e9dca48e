import * as alerts from './alerts';
import { HAS_RUNNING_BATCH } from './batches/end';
import { HAS_NEXT } from './bulk';
import { HAS_UNSETTLED } from './workflows/edges';
import { type Executor, sql } from './db';
import { HAS_DUE } from './schedules/rows';
import { HAS_PENDING } from './webhook-deliveries';
import { HAS_NEWS, IS_AWAITED } from './webhook-outbox';
import { HAS_RUNNING } from './workflows/end';

/** Which tables have pending work; jobs are not included. */
export interface PendingWork {
  hasBulk: boolean;
  /** Jobs wait for others, or workflows or batches are running. */
  hasDependencies: boolean;
  hasDueAlerts: boolean;
  /** Schedules are due, or have jobs that wait for or replace earlier ones. */
  hasDueSchedules: boolean;
  /** Events have not become deliveries yet. */
  hasNews: boolean;
  /** Whether any webhook waits for events. */
  isAwaited: boolean;
  hasDeliveries: boolean;
}

const NOTHING: PendingWork = {
  hasBulk: false,
  hasDependencies: false,
  hasDueAlerts: false,
  hasDueSchedules: false,
  hasNews: false,
  isAwaited: false,
  hasDeliveries: false,
};

/** Reads all of it in one statement, which is a few index probes. */
export async function findPendingWork(db: Executor, alertsEveryMs: number): Promise<PendingWork> {
  const [row] = await db.query<PendingWork>(sql`
    SELECT ${HAS_NEXT} AS "hasBulk", ${HAS_UNSETTLED} OR ${HAS_RUNNING} OR ${HAS_RUNNING_BATCH} AS "hasDependencies",
      ${alerts.hasDue(alertsEveryMs)} AS "hasDueAlerts",
      ${HAS_DUE} AS "hasDueSchedules",
      ${HAS_NEWS} AS "hasNews", ${IS_AWAITED} AS "isAwaited", ${HAS_PENDING} AS "hasDeliveries"`);
  return row ?? NOTHING;
}
