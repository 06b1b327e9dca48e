import type { Context } from '../../context';
import { describeError } from '../../logger';
import * as store from '../../store/logs';

/**
 * Keeps runners' log lines. It never fails the call they came with: an outcome must not be lost for want of a log line.
 */
export async function keepLines(context: Context, lines: store.InsertLogLine[]): Promise<void> {
  if (lines.length === 0) return;
  try {
    await store.append(context.db.vital, lines);
  } catch (error) {
    context.log.warn('log lines of jobs were lost', { lines: lines.length, ...describeError(error) });
  }
}
