import type { JobStatus } from '@baton/runner-sdk/protocol';
import classes from './status.module.css';

/** A shape beside the colour, for those who do not tell colours apart. */
const SHAPES: Record<JobStatus, string> = {
  blocked: 'M3 2h2v8H3zM7 2h2v8H7z',
  pending:
    'M6 1.5a4.5 4.5 0 1 0 0 9 4.5 4.5 0 0 0 0-9zm0 1.2a3.3 3.3 0 1 1 0 6.6 3.3 3.3 0 0 1 0-6.6zM5.5 3.5h1v2.7h2v.9h-3z',
  running: 'M3 1.8 10 6 3 10.2z',
  completed: 'M4.7 9.6 1.4 6.3l1.1-1.1 2.2 2.2 4.8-4.8 1.1 1.1z',
  failed: 'M2.6 1.5 6 4.9l3.4-3.4 1.1 1.1L7.1 6l3.4 3.4-1.1 1.1L6 7.1l-3.4 3.4-1.1-1.1L4.9 6 1.5 2.6z',
  cancelled: 'M1.5 5.2h9v1.6h-9z',
};

export const STATUSES: readonly JobStatus[] = ['blocked', 'pending', 'running', 'completed', 'failed', 'cancelled'];

export function Status({ status }: { status: JobStatus }) {
  return (
    <span className={classes.status} data-status={status}>
      <StatusMark status={status} />
      {status}
    </span>
  );
}

export function StatusMark({ status, size = 12 }: { status: JobStatus; size?: number }) {
  return (
    <svg
      width={size}
      height={size}
      viewBox="0 0 12 12"
      className={classes.mark}
      data-status={status}
      aria-hidden="true"
      focusable="false"
    >
      <path d={SHAPES[status]} fill="currentColor" />
    </svg>
  );
}

/** A word with a colour that says how it is: good, bad, or worth a look. */
export function Word({ tone, children }: { tone: 'good' | 'bad' | 'warning' | 'busy' | 'quiet'; children: string }) {
  return (
    <span className={classes.status} data-status={TONES[tone]}>
      {children}
    </span>
  );
}

const TONES = { good: 'completed', bad: 'failed', warning: 'warning', busy: 'running', quiet: 'cancelled' } as const;
