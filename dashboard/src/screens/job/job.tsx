import { Tabs } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import type { Attempt } from '@baton/runner-sdk/protocol';
import { Link } from 'wouter';
import { all, type Job, useJob } from '../../api/reads';
import { isJobEvent } from '../../live/feed';
import { useLiveRefresh, useScope } from '../../live/use-live';
import { CopyIcon } from '../../parts/copy';
import { shortId, visible } from '../../parts/format';
import { Json } from '../../parts/json';
import { Card, Found, Page } from '../../parts/page';
import { Status } from '../../parts/status';
import { Actions } from './actions';
import { Compare } from './compare';
import { ErrorText } from './error-text';
import { Facts } from './facts';
import classes from './job.module.css';
import { Logs } from './logs';
import { Timeline } from './timeline';
import { Waiting } from './waiting';

const REFRESH_MS = 700;

/** Everything about one job, live. */
export function JobScreen({ id }: { id: string }) {
  useScope({ jobId: id });
  const job = useJob(id);
  const attempts = useQuery({
    queryKey: ['job', id, 'attempts'],
    queryFn: ({ signal }) => all<Attempt>(['jobs', id, 'attempts'], {}, signal),
  });
  // Log lines come by themselves, and change nothing else.
  useLiveRefresh(
    ['job', id],
    REFRESH_MS,
    (event) => isJobEvent(event) && event.jobId === id && event.name !== 'job.log',
  );
  return (
    <Found query={job}>
      {(found) => (
        <Page
          title={`${visible(found.type)} ${shortId(found.id)}`}
          heading={<span>{visible(found.type)}</span>}
          note={
            <span className={classes.note}>
              <Status status={found.status} />
              <span className="mono">{found.id}</span>
              <CopyIcon text={found.id} label="Copy the id" />
            </span>
          }
          actions={<Actions job={found} />}
        >
          <Trail job={found} />
          <div className={classes.columns}>
            <div className={classes.stack}>
              {(found.status === 'pending' || found.status === 'blocked') && <Waiting job={found} />}
              {found.error !== null && found.status !== 'completed' && (
                <Card title={found.status === 'failed' ? 'What it failed with' : 'What the last attempt failed with'}>
                  <ErrorText error={found.error} />
                </Card>
              )}
              <Payloads job={found} />
              <Logs job={found} />
              <Compare attempts={attempts.data ?? []} />
            </div>
            <div className={classes.stack}>
              <Card title="What happened">
                <Timeline job={found} attempts={attempts.data ?? []} />
              </Card>
              <Card title="Details">
                <Facts job={found} />
              </Card>
            </div>
          </div>
        </Page>
      )}
    </Found>
  );
}

function Trail({ job }: { job: Job }) {
  return (
    <nav className={classes.trail} aria-label="Where this job belongs">
      <Link href="/jobs">Jobs</Link>
      <Link href={`/jobs?queue=${encodeURIComponent(job.queue)}`}>queue {visible(job.queue)}</Link>
      <Link href={`/jobs?type=${encodeURIComponent(job.type)}`}>type {visible(job.type)}</Link>
      {job.workflowId && <Link href={`/workflows/${job.workflowId}`}>its workflow</Link>}
      {job.batchId && <Link href={`/batches/${job.batchId}`}>its batch</Link>}
      {job.scheduleId && <Link href={`/schedules/${job.scheduleId}`}>its schedule</Link>}
    </nav>
  );
}

function Payloads({ job }: { job: Job }) {
  const isDone = job.status === 'completed';
  return (
    <Card>
      <Tabs defaultValue={isDone ? 'result' : 'arguments'} keepMounted={false}>
        <Tabs.List mb="sm">
          <Tabs.Tab value="arguments">Arguments</Tabs.Tab>
          <Tabs.Tab value="result" disabled={!isDone}>
            Result
          </Tabs.Tab>
          {job.metadata !== null && <Tabs.Tab value="metadata">Metadata</Tabs.Tab>}
          {job.checkpoint !== null && <Tabs.Tab value="checkpoint">Checkpoint</Tabs.Tab>}
        </Tabs.List>
        <Tabs.Panel value="arguments">
          <Json value={job.arguments} label="arguments" />
        </Tabs.Panel>
        <Tabs.Panel value="result">
          <Json value={job.result} label="result" />
        </Tabs.Panel>
        <Tabs.Panel value="metadata">
          <Json value={job.metadata} label="metadata" />
        </Tabs.Panel>
        <Tabs.Panel value="checkpoint">
          <Json value={job.checkpoint} label="checkpoint" />
        </Tabs.Panel>
      </Tabs>
    </Card>
  );
}
