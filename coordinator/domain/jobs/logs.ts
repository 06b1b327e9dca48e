import type { Context } from '../../context';
import { describeError } from '../../logger';
import * as store from '../../store/logs';

/** Lines are trimmed only when a job exceeds its maximum by this factor, not line by line. */
const SLACK = 1.1;

/** Stores runners' log lines. Never rejects: a report must not fail because of a log line. */
export async function keepLines(context: Context, lines: store.InsertLogLine[]): Promise<void> {
  if (lines.length === 0) return;
  try {
    const totals = await store.append(context.db.vital, lines);
    for (const total of totals) {
      if (total.lines - total.dropped > context.maxLogLines * SLACK)
        await store.trim(context.db.vital, total.jobId, context.maxLogLines);
    }
  } catch (error) {
    context.log.warn('log lines of jobs were lost', { lines: lines.length, ...describeError(error) });
  }
}
