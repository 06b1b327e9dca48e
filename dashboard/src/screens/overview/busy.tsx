import type { Stats } from '@baton/runner-sdk/protocol';
import { Link } from 'wouter';
import { useRunners } from '../../api/reads';
import { useRights } from '../../api/session';
import { count, duration, visible } from '../../parts/format';
import { Card, Empty } from '../../parts/page';
import { Time } from '../../parts/time';
import classes from './overview.module.css';

const MOST_SHOWN = 8;

export function BusyQueues({ stats }: { stats: Stats }) {
  const { isOperator } = useRights();
  return (
    <Card title="Queues" actions={isOperator ? <Link href="/queues">All queues</Link> : undefined}>
      {stats.queues.length === 0 ? (
        <Empty title="No queue yet.">A queue is there with its first job.</Empty>
      ) : (
        <table className={classes.table}>
          <thead>
            <tr>
              <th scope="col">Queue</th>
              <th scope="col" className={classes.right}>
                Waiting
              </th>
              <th scope="col" className={classes.right}>
                Running
              </th>
              <th scope="col" className={classes.right}>
                Oldest
              </th>
              <th scope="col" className={`${classes.right} ${classes.minor}`}>
                In, out per minute
              </th>
            </tr>
          </thead>
          <tbody>
            {stats.queues
              .slice(0, MOST_SHOWN)
              .map(({ name, waiting, running, oldestAgeMs, inPerMinute, outPerMinute }) => {
                const jobs = `/jobs?queue=${encodeURIComponent(name)}`;
                return (
                  <tr key={name}>
                    <td className="cut">
                      <Link href={isOperator ? `/queues/${encodeURIComponent(name)}` : jobs}>{visible(name)}</Link>
                    </td>
                    <td className={classes.right}>
                      <Link href={`${jobs}&status=pending&status=blocked`} className="plain">
                        {count(waiting)}
                      </Link>
                    </td>
                    <td className={classes.right}>
                      <Link href={`${jobs}&status=running`} className="plain">
                        {count(running)}
                      </Link>
                    </td>
                    <td className={classes.right}>{duration(oldestAgeMs)}</td>
                    <td className={`${classes.right} ${classes.minor}`}>
                      {count(inPerMinute)}, {count(outPerMinute)}
                    </td>
                  </tr>
                );
              })}
          </tbody>
        </table>
      )}
    </Card>
  );
}

export function BusyRunners() {
  const runners = useRunners().data ?? [];
  const there = runners
    .filter(({ status }) => status === 'active' || status === 'draining')
    .sort((one, other) => other.running - one.running);
  const most = Math.max(1, ...there.map(({ running }) => running));
  return (
    <Card title="Runners" actions={<Link href="/runners">All runners</Link>}>
      {there.length === 0 ? (
        <Empty title="No runner is here.">
          Jobs wait until one claims them. <code>npm run runner:example</code> starts the runner of the example.
        </Empty>
      ) : (
        <table className={classes.table}>
          <thead>
            <tr>
              <th scope="col">Runner</th>
              <th scope="col">Load</th>
              <th scope="col" className={classes.right}>
                Running
              </th>
              <th scope="col" className={classes.right}>
                Seen
              </th>
            </tr>
          </thead>
          <tbody>
            {there.slice(0, MOST_SHOWN).map(({ id, running, lastSeenAt }) => (
              <tr key={id}>
                <td className="cut">
                  <Link href={`/jobs?runnerId=${encodeURIComponent(id)}`}>{visible(id)}</Link>
                </td>
                <td>
                  <span className={classes.bar}>
                    <span style={{ width: `${(running / most) * 100}%` }} />
                  </span>
                </td>
                <td className={classes.right}>
                  <Link href={`/jobs?status=running&runnerId=${encodeURIComponent(id)}`} className="plain">
                    {count(running)}
                  </Link>
                </td>
                <td className={classes.right}>
                  <Time at={lastSeenAt} />
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </Card>
  );
}
