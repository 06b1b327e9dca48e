import type { Context } from '../../context';
import { describeError } from '../../logger';
import type { ClaimedRow } from '../../store/jobs';
import { mapInTurns } from '../../turns';
import { fail } from './fail';

/** Deeper than the payload gate lets through, and far from where JSON.stringify exhausts the stack. */
const MOST_DEPTH = 200;

/**
 * Claimed jobs whose row cannot be sent: the payload gate would not have let it in, but somebody wrote it past the gate.
 * They fail at once with the code `unreadable`, so that the claim, and what waits behind them, goes on without them.
 * @returns the jobs that can be sent
 */
export async function failUnreadableJobs(context: Context, rows: ClaimedRow[]): Promise<ClaimedRow[]> {
  const areReadable = await mapInTurns(
    rows,
    (row) => isReadableText(row.arguments) && isReadableText(row.metadata) && isReadableText(row.checkpoint),
  );
  const bad = rows.filter((_row, index) => areReadable[index] === false);
  if (bad.length === 0) return rows;
  context.log.error('jobs that cannot be read were set aside', { jobs: bad.map(({ id }) => id) });
  const error = {
    message: 'The stored job cannot be read as JSON that a runner could be sent.',
    code: 'unreadable',
    retryable: false,
  };
  try {
    const items = bad.map(({ id, leaseToken }) => ({
      jobId: id,
      leaseToken,
      outcome: 'failed' as const,
      error,
      metrics: null,
    }));
    await fail(context, context.db, items);
  } catch (fault) {
    context.log.warn('unreadable jobs wait for their lease to end', describeError(fault));
  }
  return rows.filter((row) => !bad.includes(row));
}

/** What may hide a fault: an escape of NUL, an exponent of two digits, a number of two hundred. */
const SUSPICIOUS = /\\u0000|[eE]\+?\d\d|\d{200}/;

/** Whether this JSON text would reach a runner as it is stored. Short ones are read only if they look as if they might not. */
export function isReadableText(text: string | null): boolean {
  if (text === null) return true;
  // Each level takes two characters.
  if (text.length <= 2 * MOST_DEPTH && !SUSPICIOUS.test(text)) return true;
  return isReadable(JSON.parse(text));
}

/** Whether it would reach a runner as it is stored. Walks without recursion, so that depth cannot exhaust the stack. */
export function isReadable(value: unknown): boolean {
  const open: { value: unknown; depth: number }[] = [{ value, depth: 1 }];
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    if (typeof next.value === 'string' && next.value.includes('\u0000')) return false;
    if (typeof next.value === 'number' && !Number.isFinite(next.value)) return false;
    if (typeof next.value !== 'object' || next.value === null) continue;
    if (next.depth > MOST_DEPTH) return false;
    for (const [key, child] of Object.entries(next.value)) {
      if (key.includes('\u0000')) return false;
      if (typeof child === 'string' || typeof child === 'object' || typeof child === 'number')
        open.push({ value: child, depth: next.depth + 1 });
    }
  }
  return true;
}
