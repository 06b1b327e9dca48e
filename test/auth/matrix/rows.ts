import { ATTEMPT_ROWS } from './attempts';
import { BATCH_ROWS } from './batches';
import { JOB_ROWS } from './jobs';
import { OBJECT_ROWS } from './objects';
import { OPERATOR_ROWS } from './operators';
import type { Rows } from './row';
import { SCHEDULE_ROWS } from './schedules';
import { WORKFLOW_ROWS } from './workflows';
import { WEBHOOK_ROWS } from './webhooks';

/** What stands in a request of each route, whose it is, and what comes of it. */
export const ROWS: Rows = {
  ...JOB_ROWS,
  ...ATTEMPT_ROWS,
  ...OPERATOR_ROWS,
  ...SCHEDULE_ROWS,
  ...WEBHOOK_ROWS,
  ...BATCH_ROWS,
  ...WORKFLOW_ROWS,
  ...OBJECT_ROWS,
};
