import { Group, SegmentedControl } from '@mantine/core';
import type { Analytics as Report, AnalyticsQuery } from '@baton/runner-sdk/protocol';
import { useMemo } from 'react';
import { Link, useSearchParams } from 'wouter';
import { useAnalytics } from '../../api/reads';
import { useRights } from '../../api/session';
import { Chart } from '../../parts/chart';
import { axisTime, bytes, compact, count, duration, exactTime, percent, visible } from '../../parts/format';
import { Card, Empty, Found, Page } from '../../parts/page';
import { Table, type TableColumn } from '../../parts/table';
import { Charts } from '../overview/charts';
import classes from './analytics.module.css';

type Item = Report['items'][number];

const BY: readonly { value: AnalyticsQuery['by']; label: string }[] = [
  { value: 'queue', label: 'Queue' },
  { value: 'type', label: 'Type' },
  { value: 'user', label: 'User' },
  { value: 'runner', label: 'Runner' },
];
const RANGES: readonly AnalyticsQuery['range'][] = ['1h', '24h', '7d', '30d'];
const FILTERS: Record<AnalyticsQuery['by'], string> = {
  queue: 'queue',
  type: 'type',
  user: 'userId',
  runner: 'runnerId',
};

export function Analytics() {
  const { isOperator } = useRights();
  const [search, setSearch] = useSearchParams();
  const by = BY.find(({ value }) => value === search.get('by'))?.value ?? 'queue';
  const range = RANGES.find((each) => each === search.get('range')) ?? '24h';
  const key = search.get('key') ?? undefined;
  const analytics = useAnalytics(by, range, key);
  const set = (changes: Record<string, string | null>): void =>
    setSearch(
      (before) => {
        for (const [name, value] of Object.entries(changes)) {
          if (value === null) before.delete(name);
          else before.set(name, value);
        }
        return before;
      },
      { replace: true },
    );
  return (
    <Page
      title="Analytics"
      note={key !== undefined && <Only by={by} name={key} onAll={() => set({ key: null })} />}
      actions={
        <Group gap="xs">
          <SegmentedControl
            size="xs"
            value={by}
            onChange={(next) => set({ by: next, key: null })}
            data={BY.filter(({ value }) => isOperator || value !== 'runner')}
            aria-label="Grouped by"
          />
          <SegmentedControl
            size="xs"
            value={range}
            onChange={(next) => set({ range: next })}
            data={[...RANGES]}
            aria-label="Time range"
          />
        </Group>
      }
    >
      <Found query={analytics}>
        {(found) => (
          <div className={classes.stack}>
            <Charts analytics={found} {...(by === 'queue' && key !== undefined ? { queue: key } : {})} />
            <Costs analytics={found} />
            <Table
              label={`Statistics by ${by}`}
              rows={found.items}
              columns={columnsOf(by, (name) => set({ key: name }))}
              keyOf={(item) => item.key}
              empty={
                <Empty title="Nothing ended in this time.">
                  Statistics count jobs and attempts by when they ended.
                </Empty>
              }
            />
            <p className={classes.quiet}>
              {exactTime(found.from)} to {exactTime(found.until)}. Percentiles are at most 4.8 % off.
              {found.omitted > 0 && ` ${count(found.omitted)} more are not shown.`}
            </p>
          </div>
        )}
      </Found>
    </Page>
  );
}

function Only({ by, name, onAll }: { by: string; name: string; onAll: () => void }) {
  return (
    <>
      only the {by} {visible(name)}{' '}
      <button type="button" className={classes.link} onClick={onAll}>
        show all
      </button>
    </>
  );
}

function Costs({ analytics: { series, stepMs } }: { analytics: Report }) {
  const steps = useMemo(() => series.map(({ at }) => axisTime(at, stepMs)), [series, stepMs]);
  const cost = useMemo(
    () => [{ name: 'Cost', color: 'var(--blocked)', values: series.map((step) => step.cost) }],
    [series],
  );
  const memory = useMemo(
    () => [
      {
        name: 'Median',
        color: 'var(--pending)',
        values: series.map(({ memoryBytes }) => memoryBytes.p50),
        isDashed: true,
      },
      { name: 'Peak', color: 'var(--pending)', values: series.map(({ memoryPeakBytes }) => memoryPeakBytes) },
    ],
    [series],
  );
  return (
    <div className={classes.pair}>
      <Card title="Cost">
        <Chart label="Cost" kind="bars" series={cost} steps={steps} format={compact} height={150} />
      </Card>
      <Card title="Memory">
        <Chart label="Memory peaks" kind="lines" series={memory} steps={steps} format={bytes} height={150} />
      </Card>
    </div>
  );
}

function columnsOf(by: AnalyticsQuery['by'], onKey: (name: string) => void): TableColumn<Item>[] {
  const jobs = (item: Item, status: string): string =>
    `/jobs?status=${status}&${FILTERS[by]}=${encodeURIComponent(item.key)}`;
  return [
    {
      key: 'key',
      header: BY.find(({ value }) => value === by)?.label ?? by,
      cell: ({ key }) => (
        <button type="button" className={classes.link} onClick={() => onKey(key)} title={`Only ${key}`}>
          {visible(key)}
        </button>
      ),
    },
    {
      key: 'completed',
      header: 'Completed',
      isNumber: true,
      cell: (item) => (
        <Link className="plain" href={jobs(item, 'completed')}>
          {count(item.jobs.completed)}
        </Link>
      ),
    },
    {
      key: 'failed',
      header: 'Failed',
      isNumber: true,
      cell: (item) => (
        <Link className="plain" href={jobs(item, 'failed')}>
          {count(item.jobs.failed)}
        </Link>
      ),
    },
    { key: 'rate', header: 'Failure rate', isNumber: true, cell: ({ failureRate }) => percent(failureRate) },
    { key: 'retries', header: 'Retries', isNumber: true, isMinor: true, cell: ({ retries }) => count(retries) },
    { key: 'wait', header: 'Wait, median', isNumber: true, isMinor: true, cell: ({ waitMs }) => duration(waitMs.p50) },
    { key: 'wait95', header: '95 %', isNumber: true, isMinor: true, cell: ({ waitMs }) => duration(waitMs.p95) },
    { key: 'run', header: 'Run, median', isNumber: true, cell: ({ runMs }) => duration(runMs.p50) },
    { key: 'run95', header: '95 %', isNumber: true, isMinor: true, cell: ({ runMs }) => duration(runMs.p95) },
    { key: 'run99', header: '99 %', isNumber: true, isMinor: true, cell: ({ runMs }) => duration(runMs.p99) },
    {
      key: 'memory',
      header: 'Memory peak',
      isNumber: true,
      isMinor: true,
      cell: ({ memoryPeakBytes }) => bytes(memoryPeakBytes),
    },
    { key: 'cpu', header: 'Processor', isNumber: true, isMinor: true, cell: ({ cpuMs }) => duration(cpuMs) },
    { key: 'cost', header: 'Cost', isNumber: true, cell: ({ cost }) => compact(cost) },
  ];
}
