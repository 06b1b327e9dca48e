import type { Context } from '../../context';
import { describeError } from '../../logger';
import type { ClaimedRow } from '../../store/jobs';
import { mapInTurns } from '../../turns';
import { fail } from './fail';

/** Deeper than payload validation allows, and far below the depth that exhausts the stack of JSON.stringify. */
const MOST_DEPTH = 200;

/**
 * Fails claimed jobs whose row cannot be sent to a runner. Payload validation would have refused them, so they were
 * written directly to the table. They fail at once with the code `unreadable`, so that neither the claim nor the jobs
 * behind them are blocked.
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

/** Text that may be unreadable: an escaped NUL, an exponent of two digits, a number of 200 digits. */
const SUSPICIOUS = /\\u0000|[eE]\+?\d\d|\d{200}/;

/** Whether a runner would receive this JSON text as it is stored. Short text is parsed only if it looks suspicious. */
export function isReadableText(text: string | null): boolean {
  if (text === null) return true;
  // Each level of nesting takes two characters.
  if (text.length <= 2 * MOST_DEPTH && !SUSPICIOUS.test(text)) return true;
  return isReadable(JSON.parse(text));
}

/**
 * Whether a runner would receive this value as it is stored. Iterates instead of recursing, so that depth cannot
 * exhaust the stack.
 */
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
