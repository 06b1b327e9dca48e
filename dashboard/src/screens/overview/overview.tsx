import { Group, SegmentedControl } from '@mantine/core';
import type { Stats } from '@baton/runner-sdk/protocol';
import { useState } from 'react';
import { Link } from 'wouter';
import { useAnalytics, useStats } from '../../api/reads';
import { useRights } from '../../api/session';
import { isJobEvent } from '../../live/feed';
import { useLiveRefresh } from '../../live/use-live';
import { CodeLine } from '../../parts/copy';
import { compact, count, duration, percent } from '../../parts/format';
import { Card, Empty, Found, Page } from '../../parts/page';
import { StatusMark } from '../../parts/status';
import { createExample } from '../../parts/samples';
import { Attention } from './attention';
import { BusyQueues, BusyRunners } from './busy';
import { Charts } from './charts';
import classes from './overview.module.css';

const REFRESH_MS = 2000;
const CHARTS_REFRESH_MS = 15_000;

export function Overview() {
  const { isOperator } = useRights();
  const stats = useStats();
  useLiveRefresh(['stats'], REFRESH_MS, isJobEvent);
  return (
    <Page title="Overview">
      <Found query={stats}>
        {(found) => (
          <div className={classes.stack}>
            <Attention stats={found} />
            <Tiles stats={found} />
            {isNew(found) ? <FirstSteps /> : <Trends />}
            <div className={classes.pair}>
              <BusyQueues stats={found} />
              {isOperator && <BusyRunners />}
            </div>
          </div>
        )}
      </Found>
    </Page>
  );
}

function Tiles({ stats }: { stats: Stats }) {
  const { lastHour } = stats;
  const since = new Date(Date.parse(stats.at) - 3_600_000).toISOString();
  const finished = encodeURIComponent(since);
  return (
    <dl className={classes.tiles}>
      <Tile
        label="Waiting"
        mark="pending"
        value={compact(stats.waiting)}
        note={stats.oldestAgeMs === null ? 'none is due' : `oldest ${duration(stats.oldestAgeMs)}`}
        href="/jobs?status=pending&status=blocked"
      />
      <Tile
        label="Running"
        mark="running"
        value={compact(stats.running)}
        note={
          stats.runners === null
            ? `${stats.inPerMinute} in a minute`
            : `on ${count(stats.runners.active)} of ${count(stats.runners.total)} runners`
        }
        href="/jobs?status=running"
      />
      <Tile
        label="Completed, last hour"
        mark="completed"
        value={compact(lastHour.jobs.completed)}
        note={`${count(stats.outPerMinute)} out, ${count(stats.inPerMinute)} in a minute`}
        href={`/jobs?status=completed&finishedAfter=${finished}`}
      />
      <Tile
        label="Failed, last hour"
        mark="failed"
        value={compact(lastHour.jobs.failed)}
        note={`${percent(lastHour.failureRate)} of what ended, ${compact(lastHour.retries)} retries`}
        href={`/jobs?status=failed&finishedAfter=${finished}`}
      />
      <Tile
        label="Wait, median"
        value={duration(lastHour.waitMs.p50)}
        note={`95 % within ${duration(lastHour.waitMs.p95)}, 99 % ${duration(lastHour.waitMs.p99)}`}
        href="/analytics?range=1h"
      />
      <Tile
        label="Run time, median"
        value={duration(lastHour.runMs.p50)}
        note={`95 % within ${duration(lastHour.runMs.p95)}, 99 % ${duration(lastHour.runMs.p99)}`}
        href="/analytics?range=1h&by=type"
      />
    </dl>
  );
}

function Tile({
  label,
  value,
  note,
  href,
  mark,
}: {
  label: string;
  value: string;
  note: string;
  href: string;
  mark?: 'pending' | 'running' | 'completed' | 'failed';
}) {
  return (
    <div className={`card ${classes.tile}`}>
      <dt>
        {mark !== undefined && <StatusMark status={mark} />}
        {label}
      </dt>
      <dd>
        <Link href={href} className={classes.figure ?? ''}>
          {value}
        </Link>
        <span className={classes.note}>{note}</span>
      </dd>
    </div>
  );
}

function Trends() {
  const [range, setRange] = useState<'1h' | '24h'>('1h');
  const analytics = useAnalytics('queue', range);
  useLiveRefresh(['analytics'], CHARTS_REFRESH_MS, isJobEvent);
  return (
    <>
      <Group justify="flex-end">
        <SegmentedControl
          size="xs"
          value={range}
          onChange={(next) => setRange(next)}
          data={[
            { value: '1h', label: 'Last hour' },
            { value: '24h', label: 'Last day' },
          ]}
          aria-label="Time range of the charts"
        />
      </Group>
      <Found query={analytics}>{(found) => <Charts analytics={found} />}</Found>
    </>
  );
}

function isNew({ jobs }: Stats): boolean {
  return Object.values(jobs).every((each) => each === 0);
}

function FirstSteps() {
  const { isClient } = useRights();
  return (
    <Card>
      <Empty title="No job yet.">
        <p>
          A program creates jobs over HTTP, a runner claims and completes them.{' '}
          {isClient && <Link href="/jobs/new">Create one here</Link>}
          {isClient && ', or from a shell:'}
        </p>
        <CodeLine code={createExample('example', { hello: 'world' })} />
      </Empty>
    </Card>
  );
}
