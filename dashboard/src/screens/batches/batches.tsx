import { SegmentedControl } from '@mantine/core';
import type { Batch, BatchStatus } from '@baton/runner-sdk/protocol';
import { useMemo } from 'react';
import { Link, useSearchParams } from 'wouter';
import { count, shortId, visible } from '../../parts/format';
import { Card, Empty, Failure, Loading, Page } from '../../parts/page';
import { usePages } from '../../parts/pages';
import { Word } from '../../parts/status';
import { StatusBar } from '../../parts/status-bar';
import { Time } from '../../parts/time';
import { type Column, VirtualTable } from '../../parts/virtual-table';

const PATH = ['batches'];
const REFRESH_MS = 3000;
const TONES = { open: 'busy', running: 'busy', completed: 'good', failed: 'bad', cancelled: 'quiet' } as const;
const ALL = 'all';
const STATUSES: readonly BatchStatus[] = ['open', 'running', 'completed', 'failed', 'cancelled'];

export function Batches() {
  const [search, setSearch] = useSearchParams();
  const status = STATUSES.find((one) => one === search.get('status')) ?? ALL;
  const query = useMemo(() => (status === ALL ? {} : { status }), [status]);
  const batches = usePages<Batch>(PATH, query, REFRESH_MS);
  return (
    <Page
      title="Batches"
      isTall
      actions={
        <SegmentedControl
          size="xs"
          aria-label="Status"
          data={[ALL, ...STATUSES]}
          value={status}
          onChange={(chosen) => setSearch(chosen === ALL ? {} : { status: chosen }, { replace: true })}
        />
      }
    >
      {batches.error !== null && <Failure error={batches.error} />}
      {batches.isPending && <Loading />}
      {batches.data !== undefined && (
        <VirtualTable
          label="Batches"
          rows={batches.data}
          columns={COLUMNS}
          keyOf={({ id }) => id}
          onEnd={batches.readMore}
          isLoadingMore={batches.isLoadingMore}
          empty={status === ALL ? <Teaching /> : <Empty title={`No batch is ${status}.`} />}
        />
      )}
    </Page>
  );
}

function Teaching() {
  return (
    <Card>
      <Empty title="No batch yet.">
        A batch is many jobs that are counted, waited for and cancelled as one, and whose end may create another job:{' '}
        <code>POST /batches</code>, or <code>POST /jobs/split</code> for a list that is to be cut into parts.
      </Empty>
    </Card>
  );
}

const COLUMNS: readonly Column<Batch>[] = [
  {
    key: 'name',
    header: 'Batch',
    width: 'minmax(8rem, 2fr)',
    cell: ({ id, name }) => (
      <Link href={`/batches/${id}`} className={name === null ? 'mono' : undefined}>
        {name === null ? shortId(id) : visible(name)}
      </Link>
    ),
  },
  { key: 'status', header: 'Status', width: '6rem', cell: ({ status }) => <BatchState status={status} /> },
  { key: 'bar', header: 'Progress', width: 'minmax(7rem, 2fr)', cell: (batch) => <StatusBar counts={batch.counts} /> },
  { key: 'percent', header: 'Ended', width: '4rem', isNumber: true, cell: ({ percent }) => `${Math.floor(percent)} %` },
  {
    key: 'jobs',
    header: 'Jobs',
    width: '5rem',
    isNumber: true,
    from: 520,
    cell: ({ id, counts }) => (
      <Link href={`/jobs?batchId=${id}`} className="plain">
        {count(counts.total)}
      </Link>
    ),
  },
  {
    key: 'user',
    header: 'User',
    width: 'minmax(4rem, 1fr)',
    from: 820,
    cell: ({ userId }) => visible(userId ?? ''),
  },
  {
    key: 'created',
    header: 'Created',
    width: '7rem',
    isNumber: true,
    from: 640,
    cell: ({ createdAt }) => <Time at={createdAt} />,
  },
];

export function BatchState({ status }: Pick<Batch, 'status'>) {
  return <Word tone={TONES[status]}>{status}</Word>;
}
