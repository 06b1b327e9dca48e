import type { Analytics } from '@baton/runner-sdk/protocol';
import { useMemo } from 'react';
import { useLocation } from 'wouter';
import { Chart } from '../../parts/chart';
import { axisTime, compact, duration } from '../../parts/format';
import { Card } from '../../parts/page';
import classes from './overview.module.css';

/**
 * What ended, and how long it took. A step leads to the jobs that ended in it.
 * @param queue the one that it is about, if not all
 */
export function Charts({ analytics: { series, stepMs }, queue }: { analytics: Analytics; queue?: string }) {
  const [, navigate] = useLocation();
  const steps = useMemo(() => series.map(({ at }) => axisTime(at, stepMs)), [series, stepMs]);
  const ended = useMemo(
    () => [
      { name: 'Completed', color: 'var(--completed)', values: series.map(({ jobs }) => jobs.completed) },
      { name: 'Failed', color: 'var(--failed)', values: series.map(({ jobs }) => jobs.failed) },
      { name: 'Cancelled', color: 'var(--cancelled)', values: series.map(({ jobs }) => jobs.cancelled) },
    ],
    [series],
  );
  const took = useMemo(
    () => [
      { name: 'Wait, median', color: 'var(--pending)', values: series.map(({ waitMs }) => waitMs.p50), isDashed: true },
      { name: 'Wait, 95 %', color: 'var(--pending)', values: series.map(({ waitMs }) => waitMs.p95) },
      { name: 'Run, median', color: 'var(--running)', values: series.map(({ runMs }) => runMs.p50), isDashed: true },
      { name: 'Run, 95 %', color: 'var(--running)', values: series.map(({ runMs }) => runMs.p95) },
    ],
    [series],
  );
  const open = (index: number): void => {
    const from = series[index]?.at;
    if (from === undefined) return;
    const until = new Date(Date.parse(from) + stepMs).toISOString();
    const search = new URLSearchParams({ finishedAfter: from, finishedBefore: until, ...(queue && { queue }) });
    navigate(`/jobs?${search}`);
  };
  return (
    <div className={classes.pair}>
      <Card title="What ended">
        <Chart label="Jobs that ended" kind="bars" series={ended} steps={steps} format={compact} onStep={open} />
      </Card>
      <Card title="How long it took">
        <Chart
          label="Wait and run time"
          kind="lines"
          series={took}
          steps={steps}
          format={duration}
          isDuration
          onStep={open}
        />
      </Card>
    </div>
  );
}
