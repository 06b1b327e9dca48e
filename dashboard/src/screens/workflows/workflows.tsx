import { SegmentedControl } from '@mantine/core';
import type { WorkflowStatus, WorkflowSummary } from '@baton/runner-sdk/protocol';
import { useMemo } from 'react';
import { Link, useSearchParams } from 'wouter';
import { count, visible } from '../../parts/format';
import { Card, Empty, Failure, Loading, Page } from '../../parts/page';
import { usePages } from '../../parts/pages';
import { Word } from '../../parts/status';
import { StatusBar } from '../../parts/status-bar';
import { Time } from '../../parts/time';
import { type Column, VirtualTable } from '../../parts/virtual-table';

const PATH = ['workflows'];
const REFRESH_MS = 3000;
const TONES = { running: 'busy', completed: 'good', failed: 'bad', cancelled: 'quiet' } as const;
const ALL = 'all';
/** Those with a gate that can be decided. */
const WAITING = 'waiting';
const STATUSES: readonly WorkflowStatus[] = ['running', 'completed', 'failed', 'cancelled'];

export function Workflows() {
  const [search, setSearch] = useSearchParams();
  const status = STATUSES.find((one) => one === search.get('status')) ?? ALL;
  const shown = search.get('gate') === WAITING ? WAITING : status;
  const query = useMemo(() => queryOf(shown), [shown]);
  const workflows = usePages<WorkflowSummary>(PATH, query, REFRESH_MS);
  return (
    <Page
      title="Workflows"
      isTall
      actions={
        <SegmentedControl
          size="xs"
          aria-label="Status"
          data={[{ value: ALL, label: 'all' }, { value: WAITING, label: 'decide' }, ...STATUSES]}
          value={shown}
          onChange={(chosen) => setSearch(queryOf(chosen), { replace: true })}
        />
      }
    >
      {workflows.error !== null && <Failure error={workflows.error} />}
      {workflows.isPending && <Loading />}
      {workflows.data !== undefined && (
        <VirtualTable
          label="Workflows"
          rows={workflows.data}
          columns={COLUMNS}
          keyOf={({ id }) => id}
          onEnd={workflows.readMore}
          isLoadingMore={workflows.isLoadingMore}
          empty={<None shown={shown} />}
        />
      )}
    </Page>
  );
}

function queryOf(shown: string): Record<string, string> {
  if (shown === ALL) return {};
  return shown === WAITING ? { gate: WAITING } : { status: shown };
}

function None({ shown }: { shown: string }) {
  if (shown === ALL) return <Teaching />;
  return <Empty title={shown === WAITING ? 'No workflow waits for a decision.' : `No workflow is ${shown}.`} />;
}

function Teaching() {
  return (
    <Card>
      <Empty title="No workflow yet.">
        A workflow is a graph of jobs that wait for each other, created in one call: <code>POST /workflows</code>, or{' '}
        <code>client.workflow(name, …)</code> in the SDK. A gate in it waits for somebody&apos;s decision.
      </Empty>
    </Card>
  );
}

const COLUMNS: readonly Column<WorkflowSummary>[] = [
  {
    key: 'name',
    header: 'Workflow',
    width: 'minmax(8rem, 2fr)',
    cell: ({ id, name }) => <Link href={`/workflows/${id}`}>{visible(name)}</Link>,
  },
  { key: 'status', header: 'Status', width: '6rem', cell: ({ status }) => <WorkflowState status={status} /> },
  { key: 'bar', header: 'Progress', width: 'minmax(7rem, 2fr)', cell: ({ counts }) => <StatusBar counts={counts} /> },
  { key: 'jobs', header: 'Jobs', width: '5rem', isNumber: true, from: 520, cell: ({ counts }) => count(counts.total) },
  { key: 'user', header: 'User', width: 'minmax(4rem, 1fr)', from: 820, cell: ({ userId }) => visible(userId ?? '') },
  {
    key: 'created',
    header: 'Created',
    width: '7rem',
    isNumber: true,
    from: 640,
    cell: ({ createdAt }) => <Time at={createdAt} />,
  },
];

export function WorkflowState({ status }: Pick<WorkflowSummary, 'status'>) {
  return <Word tone={TONES[status]}>{status}</Word>;
}
