import { Button, Group } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import type { Workflow, WorkflowNode } from '@baton/runner-sdk/protocol';
import { lazy, Suspense, useMemo, useState } from 'react';
import { Link } from 'wouter';
import { get, post } from '../../api/call';
import { useRights } from '../../api/session';
import { useConfirm } from '../../parts/confirm';
import { plural, visible } from '../../parts/format';
import { Icon } from '../../parts/icon';
import { Card, Empty, Found, Loading, Page } from '../../parts/page';
import { Status } from '../../parts/status';
import { StatusBar } from '../../parts/status-bar';
import { Time } from '../../parts/time';
import { useAction } from '../../parts/use-action';
import { type Column, VirtualTable } from '../../parts/virtual-table';
import { Gates } from './gates';
import type { Chosen } from './graph';
import { type Jobs, layersOf } from './layout';
import classes from './workflow.module.css';
import { WorkflowState } from './workflows';

const Graph = lazy(() => import('./graph').then((it) => ({ default: it.Graph })));

const REFRESH_MS = 1500;
/** Of a large one all jobs are read each time. */
const RARELY_MS = 10_000;
const LARGE = 1000;
const NOTHING: Chosen = { key: null, depth: null };

interface Row extends WorkflowNode {
  key: string;
}

export function WorkflowScreen({ id }: { id: string }) {
  const workflow = useQuery({
    queryKey: ['workflow', id],
    queryFn: ({ signal }) => get<Workflow>(['workflows', id], {}, signal),
    refetchInterval: ({ state: { data } }) =>
      data !== undefined && (data.finishedAt !== null || data.counts.total > LARGE) ? RARELY_MS : REFRESH_MS,
  });
  return (
    <Found query={workflow}>
      {(found) => (
        <Page
          title={visible(found.name)}
          note={
            <span className={classes.note}>
              <WorkflowState status={found.status} />
              <Link href={`/jobs?workflowId=${id}`}>{plural(found.counts.total, 'job')}</Link>, created{' '}
              <Time at={found.createdAt} />
              {found.userId !== null && <>, of {visible(found.userId)}</>}
            </span>
          }
          actions={<Actions workflow={found} />}
        >
          <div className={classes.stack}>
            <StatusBar counts={found.counts} />
            <Gates workflow={found} />
            <Inside workflow={found} />
          </div>
        </Page>
      )}
    </Found>
  );
}

function Actions({ workflow: { id, status, counts } }: { workflow: Workflow }) {
  const { isClient } = useRights();
  const confirm = useConfirm();
  const changes = [['workflow', id], ['pages']];
  const retry = useAction(() => post<Workflow>(['workflows', id, 'retry']), changes);
  const cancel = useAction((reason: string) => cancelIn(id, { reason }), changes);
  if (!isClient) return null;
  const askToCancel = async (): Promise<void> => {
    const reason = await confirm({
      title: 'Cancel the workflow?',
      text: `${plural(counts.blocked + counts.pending + counts.running, 'job')} that did not end yet will be cancelled.`,
      action: 'Cancel the workflow',
      asks: 'Reason',
      isDangerous: true,
    });
    if (reason !== null) await cancel.run(reason);
  };
  return (
    <>
      {counts.failed + counts.cancelled > 0 && (
        <Button
          size="xs"
          leftSection={<Icon name="retry" size={14} />}
          loading={retry.isRunning}
          onClick={() => void retry.run(undefined)}
        >
          Retry from where it failed
        </Button>
      )}
      {status === 'running' && (
        <Button
          size="xs"
          variant="default"
          leftSection={<Icon name="cancel" size={14} />}
          loading={cancel.isRunning}
          onClick={() => void askToCancel()}
        >
          Cancel
        </Button>
      )}
    </>
  );
}

/** Its graph, and beneath it a list of its jobs, or of those that were chosen in the graph. */
function Inside({ workflow }: { workflow: Workflow }) {
  const [chosen, setChosen] = useState(NOTHING);
  const jobs = useMemo(() => new Map(Object.entries(workflow.jobs)), [workflow.jobs]);
  return (
    <>
      <Suspense fallback={<Loading />}>
        <Graph jobs={jobs} chosen={chosen} onChoose={setChosen} />
      </Suspense>
      <JobsOf id={workflow.id} jobs={jobs} chosen={chosen} onClear={() => setChosen(NOTHING)} />
    </>
  );
}

/** What the graph shows, as a list, for readers of screens and for workflows of thousands. */
function JobsOf({ id, jobs, chosen, onClear }: { id: string; jobs: Jobs; chosen: Chosen; onClear: () => void }) {
  const rows = useMemo(() => {
    const keys =
      chosen.key !== null
        ? [chosen.key]
        : chosen.depth !== null
          ? (layersOf(jobs)[chosen.depth]?.keys ?? [])
          : [...jobs.keys()];
    return keys.flatMap((key): Row[] => {
      const job = jobs.get(key);
      return job === undefined ? [] : [{ ...job, key }];
    });
  }, [jobs, chosen]);
  const isAll = chosen.key === null && chosen.depth === null;
  return (
    <Card
      title={isAll ? 'Jobs' : plural(rows.length, 'chosen job')}
      className={classes.jobs}
      actions={
        !isAll && (
          <Group gap={6}>
            {chosen.key !== null && <JobActions id={id} jobKey={chosen.key} job={jobs.get(chosen.key)} />}
            <Button size="compact-xs" variant="default" onClick={onClear}>
              Show all
            </Button>
          </Group>
        )
      }
    >
      <VirtualTable
        label="Jobs of the workflow"
        rows={rows}
        columns={COLUMNS}
        keyOf={({ key }) => key}
        empty={<Empty title="It has no such job any more." />}
      />
    </Card>
  );
}

function JobActions({ id, jobKey, job }: { id: string; jobKey: string; job: WorkflowNode | undefined }) {
  const { isClient } = useRights();
  const confirm = useConfirm();
  const changes = [['workflow', id]];
  const retry = useAction((jobId: string) => post(['jobs', jobId, 'retry'], {}), changes);
  const cancel = useAction((reason: string) => cancelIn(id, { reason, key: jobKey }), changes);
  if (!isClient || job === undefined) return null;
  const askToCancel = async (): Promise<void> => {
    const reason = await confirm({
      title: `Cancel ${visible(jobKey)} and what comes after it?`,
      text: 'Jobs that ended already stay as they are.',
      action: 'Cancel them',
      asks: 'Reason',
      isDangerous: true,
    });
    if (reason !== null) await cancel.run(reason);
  };
  const hasEnded = job.status === 'failed' || job.status === 'cancelled' || job.status === 'completed';
  return (
    <>
      {(job.status === 'failed' || job.status === 'cancelled') && job.gate === undefined && (
        <Button size="compact-xs" variant="default" onClick={() => void retry.run(job.id)}>
          Retry this job
        </Button>
      )}
      {!hasEnded && (
        <Button size="compact-xs" variant="default" onClick={() => void askToCancel()}>
          Cancel from here
        </Button>
      )}
    </>
  );
}

function cancelIn(id: string, { key, reason }: { key?: string; reason: string }): Promise<Workflow> {
  return post<Workflow>(['workflows', id, 'cancel'], {
    ...(key === undefined ? {} : { key }),
    ...(reason === '' ? {} : { reason }),
  });
}

const COLUMNS: readonly Column<Row>[] = [
  {
    key: 'key',
    header: 'Key',
    width: 'minmax(7rem, 2fr)',
    cell: ({ key, id }) => <Link href={`/jobs/${id}`}>{visible(key)}</Link>,
  },
  { key: 'status', header: 'Status', width: '7rem', cell: ({ status }) => <Status status={status} /> },
  { key: 'type', header: 'Type', width: 'minmax(6rem, 2fr)', from: 520, cell: ({ type }) => visible(type) },
  {
    key: 'after',
    header: 'After',
    width: 'minmax(6rem, 3fr)',
    from: 640,
    cell: ({ dependsOn }) => <span className="cut">{visible(dependsOn.slice(0, 20).join(', '))}</span>,
  },
];
