import type { BatchCounts } from '@baton/runner-sdk/protocol';
import { count } from '../../parts/format';
import { STATUSES } from '../../parts/status';
import classes from './batches.module.css';

/** What ended stands first, what has not begun last. */
const ORDER = [...STATUSES].reverse();

/** The jobs of a batch by status, as shares of one bar. */
export function BatchBar({ counts }: { counts: BatchCounts }) {
  const parts = ORDER.filter((status) => counts[status] > 0);
  const told = parts.map((status) => `${count(counts[status])} ${status}`).join(', ');
  return (
    <div className={classes.bar} role="img" aria-label={told === '' ? 'no jobs' : told} title={told}>
      {parts.map((status) => (
        <span key={status} data-status={status} style={{ flexGrow: counts[status] }} />
      ))}
    </div>
  );
}
