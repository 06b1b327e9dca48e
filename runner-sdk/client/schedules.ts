import type { z } from 'zod';
import { creationJson, definitionOf, given, settingsJson } from './creation';
import { assertArguments, type JobDefinition } from './define-job';
import { assertStrict, PAGE_FIELDS, type Page, type Strict } from './filters';
import type { InputOf, Schema } from './schema';
import type { Send } from '../transport/transport';
import type {
  Backfilled,
  CreateSchedule,
  CreateScheduledJob,
  EditSchedule,
  Job,
  listSchedulesQuery,
  listTicksQuery,
  NextTicks,
  PreviewSchedule,
  PutSchedule,
  Schedule,
  scheduleList,
  scheduleTickList,
} from '../protocol';

/** When a schedule ticks, its policies, and fields of its job that override the definition's defaults. */
export type ScheduleOptions<Sent extends { job: unknown } = CreateSchedule> = Omit<Sent, 'job'> & {
  job?: Omit<CreateScheduledJob, 'type' | 'arguments'> | undefined;
};
export type ScheduleFilter = Strict<Omit<z.input<typeof listSchedulesQuery>, keyof Page>>;
export type SchedulePage = z.infer<typeof scheduleList>;
export type TickPage = z.infer<typeof scheduleTickList>;

/** Jobs that are created repeatedly: by cron expressions in time zones, or at fixed intervals in milliseconds. */
export class Schedules {
  constructor(private readonly send: Send) {}

  /**
   * Creates the schedule of this name, or replaces its settings; what is left out gets its default, and a manual pause
   * stays. For deployments, which send the same each time.
   * `client.schedules.put(sendDigest, { kind: 'daily' }, { name: 'digest', cron: '0 8 * * *', timezone: 'Europe/Berlin'
   * })`
   */
  put<Arguments extends Schema>(
    definition: JobDefinition<Arguments>,
    args: InputOf<Arguments>,
    options: ScheduleOptions<PutSchedule>,
  ): Promise<Schedule>;
  put(type: string, args: unknown, options: ScheduleOptions<PutSchedule>): Promise<Schedule>;
  async put(target: string | JobDefinition, args: unknown, options: ScheduleOptions<PutSchedule>): Promise<Schedule> {
    return this.send({ method: 'PUT', path: '/schedules', body: await scheduleBody(target, args, options) });
  }

  /**
   * Creates a schedule; throws `BatonError` `name_taken` when the name is used. Not retried when the answer may have
   * been lost.
   */
  create<Arguments extends Schema>(
    definition: JobDefinition<Arguments>,
    args: InputOf<Arguments>,
    options: ScheduleOptions,
  ): Promise<Schedule>;
  create(type: string, args: unknown, options: ScheduleOptions): Promise<Schedule>;
  async create(target: string | JobDefinition, args: unknown, options: ScheduleOptions): Promise<Schedule> {
    const body = await scheduleBody(target, args, options);
    return this.send({ method: 'POST', path: '/schedules', body, repeatable: false });
  }

  /** One page, oldest first. */
  async list(filter: ScheduleFilter & Page = {}): Promise<SchedulePage> {
    assertStrict('schedules.list', filter, PAGE_FIELDS);
    return this.send({ method: 'GET', path: '/schedules', query: filter });
  }

  /** Throws `BatonError` `not_found`. */
  get(id: string): Promise<Schedule> {
    return this.send({ method: 'GET', path: schedulePath(id) });
  }

  /** What is left out stays. A `job` replaces the old one, and is from then on created in the name of this key. */
  update(id: string, changes: EditSchedule): Promise<Schedule> {
    return this.send({ method: 'PATCH', path: schedulePath(id), body: changes });
  }

  /** Deletes it with its history; the jobs that it created stay. */
  async delete(id: string): Promise<void> {
    await this.send({ method: 'DELETE', path: schedulePath(id) });
  }

  pause(id: string, reason?: string): Promise<Schedule> {
    const body = reason === undefined ? {} : { reason };
    return this.send({ method: 'POST', path: schedulePath(id, '/pause'), body });
  }

  /** Ticks during the pause are not caught up; `backfill` does that. */
  resume(id: string): Promise<Schedule> {
    return this.send({ method: 'POST', path: schedulePath(id, '/resume') });
  }

  /** Creates its job now. Not retried when the answer may have been lost. */
  run(id: string): Promise<Job> {
    return this.send({ method: 'POST', path: schedulePath(id, '/run'), repeatable: false });
  }

  /** Creates the jobs of past ticks that have created none; a repeated call creates nothing twice. */
  backfill(id: string, span: { from: Date | string; to: Date | string }): Promise<Backfilled> {
    const body = { from: timeOf(span.from), to: timeOf(span.to) };
    return this.send({ method: 'POST', path: schedulePath(id, '/backfill'), body });
  }

  /** Its next ticks, as ISO-8601; by default 5. */
  async next(id: string, options: { count?: number | undefined } = {}): Promise<string[]> {
    return (await this.send<NextTicks>({ method: 'GET', path: schedulePath(id, '/next'), query: options })).items;
  }

  /** The outcomes of its ticks, latest first: one page. */
  async ticks(
    id: string,
    filter: Strict<Omit<z.input<typeof listTicksQuery>, keyof Page>> & Page = {},
  ): Promise<TickPage> {
    assertStrict('schedules.ticks', filter, PAGE_FIELDS);
    return this.send({ method: 'GET', path: schedulePath(id, '/ticks'), query: filter });
  }

  /** The ticks that a schedule would have, as ISO-8601. */
  async preview(timing: PreviewSchedule): Promise<string[]> {
    return (await this.send<NextTicks>({ method: 'POST', path: '/schedules/preview', body: timing })).items;
  }
}

async function scheduleBody(
  target: string | JobDefinition,
  args: unknown,
  { job = {}, ...timing }: ScheduleOptions<PutSchedule>,
): Promise<object> {
  const definition = definitionOf(target);
  await assertArguments(definition, args);
  const created = JSON.parse(creationJson(definition, args, settingsJson(definition, given(job)))) as object;
  return { ...given(timing), job: created };
}

function schedulePath(id: string, rest = ''): string {
  return `/schedules/${encodeURIComponent(id)}${rest}`;
}

function timeOf(time: Date | string): string {
  return typeof time === 'string' ? time : time.toISOString();
}
