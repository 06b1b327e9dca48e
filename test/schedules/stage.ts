import type { CreateSchedule, Job, Schedule, ScheduleTick } from '@baton/runner-sdk/protocol';
import { type Api, expectStatus } from '../support/api';
import { type Cluster, type Options, startCluster, type TestCoordinator } from '../support/coordinator';
import { uniqueType } from '../support/factory';
import type { TestSql } from '../support/sql';

/** Coordinators whose schedules are moved in time instead of waited for. */
export class Stage {
  private constructor(
    private readonly cluster: Cluster,
    readonly first: TestCoordinator,
  ) {}

  static async open(count = 1, options: Options = {}): Promise<Stage> {
    const cluster = await startCluster(count, options);
    const [first] = cluster.coordinators;
    if (first === undefined) throw new Error('no coordinator was started');
    return new Stage(cluster, first);
  }

  get api(): Api {
    return this.first.api;
  }

  get sql(): TestSql {
    return this.cluster.sql;
  }

  get coordinators(): TestCoordinator[] {
    return this.cluster.coordinators;
  }

  close(): Promise<void> {
    return this.cluster.stop();
  }

  /** One that ticks next year, with a name and a type of its own, unless it says otherwise. */
  async create(wanted: Partial<CreateSchedule> = {}, api = this.api): Promise<Schedule> {
    const type = uniqueType();
    const timing = wanted.everyMs === undefined ? { cron: '0 0 1 1 *' } : {};
    return expectStatus(
      await api.post<Schedule>('/schedules', { name: type, job: { type }, ...timing, ...wanted }),
      201,
    );
  }

  async read(id: string): Promise<Schedule> {
    return expectStatus(await this.api.get<Schedule>(`/schedules/${id}`), 200);
  }

  /**
   * Lets its next tick be so many milliseconds ago, and its creation before that, so that it is a multiple of
   * `everyMs`.
   */
  async makeDue(id: string, agoMs = 0): Promise<Date> {
    const [row] = await this.sql.query<{ at: Date }>(
      `UPDATE schedules SET next_at = date_trunc('milliseconds', now()) - $2 * interval '1 ms',
         due_at = date_trunc('milliseconds', now()) - $2 * interval '1 ms', created_at = date_trunc('milliseconds', now()) - $2 * interval '1 ms' - every_ms * interval '1 ms'
       WHERE id = $1 AND every_ms IS NOT NULL RETURNING next_at AS at`,
      [id, agoMs],
    );
    if (row !== undefined) return row.at;
    const [other] = await this.sql.query<{ at: Date }>(
      `UPDATE schedules SET next_at = date_trunc('milliseconds', now()) - $2 * interval '1 ms', due_at = date_trunc('milliseconds', now()) - $2 * interval '1 ms'
       WHERE id = $1 RETURNING next_at AS at`,
      [id, agoMs],
    );
    if (other === undefined) throw new Error(`there is no schedule ${id}`);
    return other.at;
  }

  /** Rounds of the loop, until nothing is due. */
  async fire(coordinator = this.first): Promise<void> {
    while (await coordinator.app.loops.schedules.runOnce());
  }

  async jobs(scheduleId: string): Promise<Job[]> {
    return expectStatus(await this.api.get<{ items: Job[] }>(`/jobs?scheduleId=${scheduleId}&limit=500`), 200).items;
  }

  /** Oldest first. */
  async ticks(scheduleId: string): Promise<ScheduleTick[]> {
    const { items } = expectStatus(
      await this.api.get<{ items: ScheduleTick[] }>(`/schedules/${scheduleId}/ticks?limit=500`),
      200,
    );
    return items.reverse();
  }
}
