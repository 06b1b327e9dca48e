import { useQuery } from '@tanstack/react-query';
import type { Explanation } from '@baton/runner-sdk/protocol';
import type { Job } from '../../api/reads';
import { get } from '../../api/call';
import { visible } from '../../parts/format';
import { Card, Found } from '../../parts/page';
import { Time } from '../../parts/time';
import classes from './job.module.css';

const REFRESH_MS = 5000;

/** Why it does not run, the most decisive reason first. */
export function Waiting({ job }: { job: Job }) {
  const explanation = useQuery({
    queryKey: ['job', job.id, 'explain'],
    queryFn: ({ signal }) => get<Explanation>(['jobs', job.id, 'explain'], {}, signal),
    refetchInterval: REFRESH_MS,
  });
  return (
    <Card title="Why it waits">
      <Found query={explanation}>
        {({ reasons, notes }) => (
          <>
            <ul className={classes.reasons}>
              {reasons.map(({ code, message }, index) => (
                <li key={`${code} ${index}`}>{visible(message)}</li>
              ))}
              {notes.map(({ code, message }) => (
                <li key={code} className={classes.quiet}>
                  {visible(message)}
                </li>
              ))}
            </ul>
            {job.estimate !== null && (job.estimate.startAt !== null || job.estimate.finishAt !== null) && (
              <p className={classes.quiet}>
                Expected to start <Time at={job.estimate.startAt} empty="at a time that is not known" /> and to finish{' '}
                <Time at={job.estimate.finishAt} empty="at a time that is not known" />.
              </p>
            )}
          </>
        )}
      </Found>
    </Card>
  );
}
