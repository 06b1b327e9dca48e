import type { Context } from '../../context';
import { describeError } from '../../logger';
import * as store from '../../store/logs';

/** Over the most lines by so many, the surplus is dropped at once: not line by line. */
const SLACK = 1.1;

/**
 * Keeps runners' log lines. It never fails the call they came with: an outcome must not be lost for want of a log line.
 */
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
