import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client';
import type { Db } from '../../store/db';
import { counts } from '../../store/views/health';
import { countSchedules } from '../../store/views/schedules';
import { countGroups } from '../../store/views/workflows';
import * as queues from '../../store/views/queues';
import type { Events, JobEvent } from '../events/events';
import { wantedRunners } from '../queues/scale';
import { BoundedLabels } from './bounded';

/** Scrapes within this time share one read of the tables. */
const FRESH_MS = 5000;
const MOST_QUEUES = 200;
const MOST_TYPES = 200;
/** Target time in which waiting jobs start, as in the default of GET /queues/:name/scale. */
const TARGET_MS = 10_000;
const SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 7200];

export interface MetricsSource {
  db: Db;
  events: Events;
  version: string;
  monitorLagMs(): number | null;
  listeners(): number;
}

/** Metrics for Prometheus: counters and histograms of this process, gauges of the tables. */
export class Metrics {
  readonly registry = new Registry();
  private readonly queueLabels = new BoundedLabels(MOST_QUEUES);
  private readonly typeLabels = new BoundedLabels(MOST_TYPES);
  private readonly requests: Histogram;
  private lookedAt = -Infinity;
  private looking: Promise<void> | undefined;

  constructor(private readonly source: MetricsSource) {
    const registers = [this.registry];
    collectDefaultMetrics({ register: this.registry });
    this.requests = new Histogram({
      name: 'baton_http_request_seconds',
      help: 'How long this coordinator took to answer, long polls included.',
      labelNames: ['method', 'route', 'status'],
      buckets: SECONDS,
      registers,
    });
    new Gauge({
      name: 'baton_build_info',
      help: 'Always 1; the labels tell the version.',
      labelNames: ['version', 'node'],
      registers,
    }).set({ version: source.version, node: process.version }, 1);
    this.countJobs();
    this.countTicks();
    this.gaugeProcess();
  }

  /** In the Prometheus text format. */
  async text(): Promise<string> {
    await this.look();
    return this.registry.metrics();
  }

  answered(method: string, route: string, status: number, seconds: number): void {
    this.requests.observe({ method, route, status: String(status) }, seconds);
  }

  private countJobs(): void {
    const registers = [this.registry];
    const happened = new Counter({
      name: 'baton_job_events_total',
      help: 'What happened to jobs on this coordinator.',
      labelNames: ['event', 'queue'],
      registers,
    });
    const wait = new Histogram({
      name: 'baton_job_wait_seconds',
      help: 'From when a job was due to its claim.',
      labelNames: ['queue'],
      buckets: SECONDS,
      registers,
    });
    const run = new Histogram({
      name: 'baton_job_run_seconds',
      help: 'From the claim to the end of an attempt.',
      labelNames: ['type', 'outcome'],
      buckets: SECONDS,
      registers,
    });
    this.source.events.on((batch) => {
      // Most batches contain one kind of event of one queue, which is counted at once.
      let [counted] = batch;
      let count = 0;
      const tell = (): void => {
        if (counted !== undefined)
          happened.inc({ event: counted.name.slice('job.'.length), queue: this.queueLabels.of(counted.queue) }, count);
      };
      for (const event of batch) {
        if (counted !== undefined && (event.name !== counted.name || event.queue !== counted.queue)) {
          tell();
          [counted, count] = [event, 0];
        }
        count += 1;
        const queue = this.queueLabels.of(event.queue);
        if (event.waitMs !== undefined) wait.observe({ queue }, Math.max(0, event.waitMs) / 1000);
        if (event.runMs !== undefined && event.runMs !== null)
          run.observe(
            { type: this.typeLabels.of(event.type), outcome: outcomeOf(event) },
            Math.max(0, event.runMs) / 1000,
          );
      }
      tell();
    });
  }

  private countTicks(): void {
    const registers = [this.registry];
    const fired = new Counter({
      name: 'baton_schedule_ticks_total',
      help: 'What became of ticks of schedules that this coordinator fired.',
      labelNames: ['outcome'],
      registers,
    });
    const late = new Histogram({
      name: 'baton_schedule_late_seconds',
      help: 'How long after its time, jitter included, a tick fired.',
      buckets: SECONDS,
      registers,
    });
    this.source.events.onTicks((ticks) => {
      for (const { outcome, lateMs } of ticks) {
        fired.inc({ outcome });
        if (lateMs !== null) late.observe(lateMs / 1000);
      }
    });
  }

  private gaugeProcess(): void {
    const { source, registry } = this;
    const registers = [registry];
    new Gauge({
      name: 'baton_monitor_lag_seconds',
      help: 'How long ago the timeout monitor finished a round.',
      registers,
      collect() {
        this.set((source.monitorLagMs() ?? 0) / 1000);
      },
    });
    new Gauge({
      name: 'baton_event_listeners',
      help: 'Connections of this coordinator that listen to events.',
      registers,
      collect() {
        this.set(source.listeners());
      },
    });
    new Gauge({
      name: 'baton_pool_connections',
      help: 'Database connections of this coordinator, and calls that wait for one.',
      labelNames: ['pool', 'state'],
      registers,
      collect() {
        for (const { pool, busy, idle, waiting } of source.db.usage()) {
          this.set({ pool, state: 'busy' }, busy);
          this.set({ pool, state: 'idle' }, idle);
          this.set({ pool, state: 'waiting' }, waiting);
        }
      },
    });
  }

  private look(): Promise<void> {
    if (performance.now() - this.lookedAt < FRESH_MS) return Promise.resolve();
    this.looking ??= this.lookAtTables().finally(() => (this.looking = undefined));
    return this.looking;
  }

  private async lookAtTables(): Promise<void> {
    const [statistics, means, { jobs, runners }, schedules, groups] = await Promise.all([
      queues.statistics(this.source.db, null),
      queues.meanRunsMs(this.source.db),
      counts(this.source.db),
      countSchedules(this.source.db),
      countGroups(this.source.db),
    ]);
    this.lookedAt = performance.now();
    const jobsByStatus = new Map(Object.entries(jobs));
    this.gauge('baton_jobs', 'Jobs in the table, those that are over counted up to 100,000.', 'status', jobsByStatus);
    const runnersByState = new Map([
      ['active', runners.active],
      ['idle', runners.idle],
    ]);
    this.gauge('baton_runners', 'Runners heard within the last minute.', 'state', runnersByState);
    const schedulesByStatus = new Map(Object.entries(schedules.byStatus));
    this.gauge('baton_schedules', 'Schedules in the table.', 'status', schedulesByStatus);
    this.single(
      'baton_schedule_overdue_seconds',
      'How long ago the tick should have fired that is due for longest; 0: none is due.',
      schedules.overdueMs / 1000,
    );
    this.gauge(
      'baton_unfinished',
      'Workflows and batches that have not ended, and gates that wait to be decided.',
      'what',
      new Map(Object.entries(groups)),
    );
    const byQueue = (value: (one: queues.QueueStatistics) => number) =>
      sums(statistics.map((one) => [this.queueLabels.of(one.name), value(one)]));
    this.gauge(
      'baton_queue_waiting',
      'Jobs that wait, due or not.',
      'queue',
      byQueue((one) => one.waiting),
    );
    this.gauge(
      'baton_queue_running',
      'Jobs that run.',
      'queue',
      byQueue((one) => one.running),
    );
    this.gauge(
      'baton_queue_wanted_runners',
      `Runners it takes to start what waits within ${TARGET_MS / 1000} s.`,
      'queue',
      byQueue((one) =>
        wantedRunners({ ...one, meanRunMs: means.get(one.name) ?? null }, { targetMs: TARGET_MS, perRunner: 1 }),
      ),
    );
    this.gauge(
      'baton_queue_oldest_age_seconds',
      'How long the job that is due longest has been due; of several queues in one label, the sum.',
      'queue',
      byQueue((one) => Math.max(0, one.oldestAgeMs ?? 0) / 1000),
    );
  }

  private single(name: string, help: string, value: number): void {
    this.registry.removeSingleMetric(name);
    new Gauge({ name, help, registers: [this.registry] }).set(value);
  }

  private gauge(name: string, help: string, label: string, values: ReadonlyMap<string, number>): void {
    this.registry.removeSingleMetric(name);
    const gauge = new Gauge({ name, help, labelNames: [label], registers: [this.registry] });
    for (const [key, value] of values) gauge.set({ [label]: key }, value);
  }
}

function outcomeOf(event: JobEvent): string {
  return event.name === 'job.completed' ? 'completed' : 'failed';
}

/** A map and not an object, because callers name the queues: one may be called `constructor`. */
function sums(entries: [string, number][]): Map<string, number> {
  const totals = new Map<string, number>();
  for (const [key, value] of entries) totals.set(key, (totals.get(key) ?? 0) + value);
  return totals;
}
