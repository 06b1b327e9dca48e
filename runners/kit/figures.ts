import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';

const PREFIX = 'baton_runner_';
const SECONDS = [0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60, 300, 900, 3600, 14_400];

/** How a job ended, from the runner's point of view. */
export type JobEnd = 'completed' | 'failed' | 'snoozed' | 'aborted';

/** Metrics of a runner, for `/metrics` and for its health line. Names start with `baton_runner_`. */
export class Figures {
  readonly registry = new Registry();
  readonly ended: Record<JobEnd, number> = { completed: 0, failed: 0, snoozed: 0, aborted: 0 };
  private readonly jobs: Counter<'type' | 'outcome'>;
  private readonly seconds: Histogram<'type'>;
  private readonly running: Gauge<'type'>;

  constructor(runner: string) {
    this.registry.setDefaultLabels({ runner });
    collectDefaultMetrics({ register: this.registry });
    this.jobs = this.counter('jobs_total', 'Jobs by type and by how they ended here', ['type', 'outcome']);
    this.running = this.gauge('jobs_running', 'Jobs that run now', ['type']);
    this.seconds = new Histogram({
      name: `${PREFIX}job_seconds`,
      help: 'How long a handler took',
      labelNames: ['type'],
      buckets: SECONDS,
      registers: [this.registry],
    });
  }

  /** A counter of the runner's own, such as `mails_total`. */
  counter<Label extends string>(name: string, help: string, labelNames: Label[]): Counter<Label> {
    return new Counter({ name: PREFIX + name, help, labelNames, registers: [this.registry] });
  }

  gauge<Label extends string>(name: string, help: string, labelNames: Label[]): Gauge<Label> {
    return new Gauge({ name: PREFIX + name, help, labelNames, registers: [this.registry] });
  }

  started(type: string): void {
    this.running.inc({ type });
  }

  finished(type: string, outcome: JobEnd, tookMs: number): void {
    this.running.dec({ type });
    this.jobs.inc({ type, outcome });
    this.seconds.observe({ type }, tookMs / 1000);
    this.ended[outcome] += 1;
  }
}
