import { randomUUID } from 'node:crypto';
import type { ClaimedJob, CreateJob, Explanation, Job, Queue, SetQueue } from '@baton/runner-sdk/protocol';
import { expectStatus } from '../support/api';
import { type Cluster, startCluster, type TestCoordinator } from '../support/coordinator';
import type { TestSql } from '../support/sql';

/** Two coordinators on one database, and what tests of queues ask of them. */
export class Stage {
  private constructor(
    private readonly cluster: Cluster,
    readonly one: TestCoordinator,
    readonly two: TestCoordinator,
  ) {}

  static async open(): Promise<Stage> {
    const cluster = await startCluster(2);
    const [one, two] = cluster.coordinators;
    if (one === undefined || two === undefined) throw new Error('two coordinators');
    return new Stage(cluster, one, two);
  }

  get sql(): TestSql {
    return this.cluster.sql;
  }

  get both(): [TestCoordinator, TestCoordinator] {
    return [this.one, this.two];
  }

  close(): Promise<void> {
    return this.cluster.stop();
  }

  /** From now on nothing is mended by the loop: what is freed is freed by whoever ended what held it. */
  async restDueLoops(): Promise<void> {
    await Promise.all(this.both.map(({ app }) => app.loops.due.stop()));
  }

  /** A queue of its own. */
  async queue(settings?: SetQueue): Promise<string> {
    const name = `queue-${randomUUID().slice(0, 8)}`;
    if (settings !== undefined) await this.set(name, settings);
    return name;
  }

  async set(name: string, settings: SetQueue, on = this.one): Promise<Queue> {
    return expectStatus(await on.api.call<Queue>('put', `/queues/${name}`, { json: settings }), 200);
  }

  /** Creates them in as few calls as it takes; `n` in the arguments counts them. */
  async create(
    queue: string,
    count: number,
    more: Partial<CreateJob> | ((n: number) => Partial<CreateJob>) = {},
    on = this.one,
  ): Promise<Job[]> {
    const jobs = Array.from({ length: count }, (_, n) => ({
      type: 'work',
      queue,
      arguments: { n },
      ...(typeof more === 'function' ? more(n) : more),
    }));
    const made: Job[] = [];
    for (let at = 0; at < count; at += 1000) {
      made.push(
        ...expectStatus(await on.api.post<{ jobs: Job[] }>('/jobs/bulk', { jobs: jobs.slice(at, at + 1000) }), 201)
          .jobs,
      );
    }
    return made;
  }

  claim(
    queue: string,
    max = 1,
    more: {
      types?: string[];
      waitMs?: number;
      labels?: Record<string, string | number | boolean>;
      runnerId?: string;
      leaseMs?: number;
    } = {},
    on = this.one,
  ): Promise<ClaimedJob[]> {
    return on.api.claim({ runnerId: 'runner', types: ['work'], queues: [queue], max, ...more });
  }

  /** Claims and completes, one after the other, until nothing comes; returns the arguments' `n` in that order. */
  async drain(queue: string, more: { types?: string[]; waitMs?: number } = {}): Promise<number[]> {
    const order: number[] = [];
    for (;;) {
      const [job] = await this.claim(queue, 1, more);
      if (job === undefined) return order;
      order.push((job.arguments as { n: number }).n);
      expectStatus(await this.one.api.complete(job), 200);
    }
  }

  async explain(id: string, on = this.one): Promise<Explanation> {
    return expectStatus(await on.api.get<Explanation>(`/jobs/${id}/explain`), 200);
  }

  async held(queue: string): Promise<number> {
    return this.sql.count('jobs WHERE queue = $1 AND hold IS NOT NULL', [queue]);
  }
}

export function numbers(jobs: { arguments: unknown }[]): number[] {
  return jobs.map((job) => (job.arguments as { n: number }).n);
}
