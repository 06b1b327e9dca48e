import { Link } from 'wouter';
import { shortId, visible } from '../../parts/format';
import { Status } from '../../parts/status';
import { Elapsed, Time } from '../../parts/time';
import type { Column } from '../../parts/virtual-table';
import classes from './jobs.module.css';
import type { JobLine } from './use-job-list';
import { duration } from '../../parts/format';

export const JOB_COLUMNS: readonly Column<JobLine>[] = [
  { key: 'status', header: 'Status', width: '6.9rem', cell: ({ status }) => <Status status={status} /> },
  {
    key: 'type',
    header: 'Type',
    width: 'minmax(7rem, 1.4fr)',
    cell: ({ id, type }) => (
      <Link href={`/jobs/${id}`} className="plain" title={type}>
        <span className={classes.type}>{visible(type)}</span>
      </Link>
    ),
  },
  {
    key: 'about',
    header: 'Arguments, or what went wrong',
    width: 'minmax(8rem, 3fr)',
    from: 760,
    cell: ({ preview, status }) => (
      <span className={`mono ${classes.about}`} data-failed={status === 'failed' || undefined} title={preview}>
        {visible(preview)}
      </span>
    ),
  },
  {
    key: 'queue',
    header: 'Queue',
    width: 'minmax(5rem, 1fr)',
    from: 620,
    cell: ({ queue }) => <span title={queue}>{visible(queue)}</span>,
  },
  {
    key: 'user',
    header: 'User',
    width: 'minmax(4rem, 0.8fr)',
    from: 1100,
    cell: ({ userId }) => (userId === null ? '' : <span title={userId}>{visible(userId)}</span>),
  },
  {
    key: 'priority',
    header: 'Priority',
    width: '4rem',
    isNumber: true,
    from: 1180,
    cell: ({ priority }) => (priority === 0 ? '' : priority),
  },
  {
    key: 'attempts',
    header: 'Attempts',
    width: '4.6rem',
    isNumber: true,
    from: 960,
    cell: ({ attempt, maxAttempts }) => `${attempt} of ${maxAttempts}`,
  },
  { key: 'took', header: 'Took', width: '6.2rem', isNumber: true, from: 500, cell: (line) => <Took line={line} /> },
  {
    key: 'created',
    header: 'Created',
    width: '5.6rem',
    isNumber: true,
    cell: ({ createdAt }) => <Time at={createdAt} />,
  },
  {
    key: 'id',
    header: 'Id',
    width: '7.5rem',
    from: 1320,
    cell: ({ id }) => (
      <span className="mono" title={id}>
        {shortId(id)}
      </span>
    ),
  },
];

/** How far it is, how long it took, or when it starts. */
function Took({ line: { status, percent, startedAt, finishedAt, runAt } }: { line: JobLine }) {
  if (status === 'running' && percent !== null) {
    return (
      <span className={classes.progress} title={`${Math.round(percent)} %`}>
        <span style={{ width: `${percent}%` }} />
        <b>{Math.round(percent)} %</b>
      </span>
    );
  }
  if (status === 'running' && startedAt !== null) return <Elapsed since={startedAt} />;
  if (status === 'pending' && Date.parse(runAt) > Date.now()) return <Time at={runAt} />;
  if (startedAt === null || finishedAt === null) return null;
  return duration(Math.max(0, Date.parse(finishedAt) - Date.parse(startedAt)));
}
