import type { JobStatus } from '@baton/runner-sdk/protocol';
import { count } from './format';
import { STATUSES } from './status';
import classes from './status-bar.module.css';

/** What ended stands first, what has not begun last. */
const ORDER = [...STATUSES].reverse();

/** Jobs by status, as shares of one bar. */
export function StatusBar({ counts }: { counts: Readonly<Record<JobStatus, number>> }) {
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
