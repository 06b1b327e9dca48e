import { Button } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import type { JobCount } from '@baton/runner-sdk/protocol';
import { useCallback, useMemo, useState } from 'react';
import { Link, useLocation, useSearchParams } from 'wouter';
import { get } from '../../api/call';
import { useRights } from '../../api/session';
import { CodeLine } from '../../parts/copy';
import { count } from '../../parts/format';
import { Empty, Failure, Loading, Page } from '../../parts/page';
import { createExample } from '../../parts/samples';
import { VirtualTable } from '../../parts/virtual-table';
import { BulkBar } from './bulk-bar';
import { JOB_COLUMNS } from './columns';
import { type JobsFilter, readFilter, toChoice, toQuery, writeFilter } from './filter';
import { FilterBar, FilterPills } from './filter-bar';
import classes from './jobs.module.css';
import { type JobLine, useJobList } from './use-job-list';
import { useSelection } from './use-selection';

const keyOf = ({ id }: JobLine): string => id;

export function Jobs() {
  const { isClient } = useRights();
  const [, navigate] = useLocation();
  const [search, setSearch] = useSearchParams();
  const named = search.toString();
  const filter = useMemo(() => readFilter(new URLSearchParams(named)), [named]);
  const query = useMemo(() => toQuery(filter), [filter]);
  const [isAtTop, setAtTop] = useState(true);
  const list = useJobList(PATH, query, isAtTop);
  const { selection, selected, clear } = useSelection(list.rows, keyOf);
  const [isAll, setAll] = useState(false);
  const tags = useMemo(() => [...new Set(list.rows.slice(0, 500).flatMap((row) => row.tags))].sort(), [list.rows]);
  const isFiltered = named !== '';

  const deselect = useCallback(() => {
    clear();
    setAll(false);
  }, [clear]);
  const change = (next: JobsFilter): void => {
    deselect();
    setSearch(writeFilter(next), { replace: true });
  };

  return (
    <Page title="Jobs" note={<Matching query={query} />} isTall>
      <FilterBar filter={filter} onChange={change} tags={tags} />
      <FilterPills filter={filter} onChange={change} />
      {list.hasNewer && (
        <Button size="compact-sm" variant="light" className={classes.newer} onClick={() => void list.restart()}>
          There are newer jobs; show them
        </Button>
      )}
      {selected.length > 0 && (
        <BulkBar
          selected={selected}
          isAll={isAll}
          choice={toChoice(filter)}
          canSelectAll={list.hasMore}
          onAll={() => setAll(true)}
          onDone={deselect}
        />
      )}
      {list.error !== null && <Failure error={list.error} onRetry={() => void list.refetch()} />}
      {list.isPending && list.error === null && <Loading />}
      {!list.isPending && (
        <VirtualTable
          label="Jobs"
          rows={list.rows}
          columns={JOB_COLUMNS}
          keyOf={keyOf}
          onOpen={({ id }) => navigate(`/jobs/${id}`)}
          selection={isClient ? selection : undefined}
          onEnd={list.readMore}
          isLoadingMore={list.isLoadingMore}
          onTop={setAtTop}
          empty={isFiltered ? <NothingFound onClear={() => change(readFilter(new URLSearchParams()))} /> : <NoJobs />}
        />
      )}
    </Page>
  );
}

const PATH = ['jobs'] as const;

/** How many match, counted up to a bound. */
function Matching({ query }: { query: ReturnType<typeof toQuery> }) {
  const counted = useQuery({
    queryKey: ['count', query],
    queryFn: ({ signal }) => get<JobCount>(['jobs', 'count'], { ...query, most: 10_000 }, signal),
    refetchInterval: 10_000,
    placeholderData: (before) => before,
  });
  if (counted.data === undefined) return null;
  const { count: found, isMore } = counted.data;
  return <span className="number">{isMore ? `more than ${count(found)}` : count(found)}</span>;
}

function NothingFound({ onClear }: { onClear: () => void }) {
  return (
    <Empty title="No job matches.">
      <Button size="xs" variant="default" onClick={onClear}>
        Show all jobs
      </Button>
    </Empty>
  );
}

function NoJobs() {
  const { isClient } = useRights();
  return (
    <Empty title="No job yet.">
      {isClient && (
        <p>
          <Link href="/jobs/new">Create one here</Link>, or from a shell:
        </p>
      )}
      <CodeLine code={createExample('example', { hello: 'world' })} />
    </Empty>
  );
}
