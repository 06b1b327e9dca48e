import { jobStatus, type Stats } from '@baton/runner-sdk/protocol';
import type { Context } from '../../context';
import { counts } from '../../store/views/health';
import { statistics, type QueueStatistics } from '../../store/views/queues';
import * as views from '../../store/views/stats';
import { lastHour } from './report';

const MOST_LISTED = 200;

type Now = Omit<Stats, 'at' | 'lastHour' | 'deadLetters'>;
type Load = Pick<Stats, 'waiting' | 'running' | 'oldestAgeMs'>;

/** The current state; for a user, of the user's own jobs. */
export async function readStats(context: Context, userId: string | null): Promise<Omit<Stats, 'at'>> {
  const [now, hour] = await Promise.all([
    userId === null ? ofAll(context) : ofUser(context, userId),
    lastHour(context, userId),
  ]);
  return { ...now, deadLetters: now.jobs.failed, lastHour: hour };
}

async function ofAll({ db }: Context): Promise<Now> {
  const [{ jobs, runners }, queues, types] = await Promise.all([
    counts(db),
    statistics(db, null),
    views.types(db, MOST_LISTED),
  ]);
  return {
    jobs: byStatus(new Map(Object.entries(jobs))),
    ...total(queues),
    ...flow(queues),
    queues: queues.map(shown).sort(busiestFirst).slice(0, MOST_LISTED),
    types: types.map(shown),
    runners,
  };
}

async function ofUser({ db }: Context, userId: string): Promise<Now> {
  const rows = await views.ofUser(db, userId);
  const jobs = new Map<string, number>();
  for (const row of rows) jobs.set(row.status, (jobs.get(row.status) ?? 0) + row.jobs);
  const queues = grouped(rows, (row) => row.queue).map(([name, own]) => ({ name, ...loadOf(own), ...flowOf(own) }));
  const types = grouped(rows, (row) => row.type).map(([type, own]) => ({ type, ...loadOf(own) }));
  return {
    jobs: byStatus(jobs),
    ...loadOf(rows),
    ...flowOf(rows),
    queues: queues.sort(busiestFirst).slice(0, MOST_LISTED),
    types: types.sort(busiestFirst).slice(0, MOST_LISTED),
    runners: null,
  };
}

function byStatus(jobs: ReadonlyMap<string, number>): Stats['jobs'] {
  return Object.fromEntries(jobStatus.options.map((status) => [status, jobs.get(status) ?? 0])) as Stats['jobs'];
}

function loadOf(rows: views.UserLoad[]): Load {
  const count = (...statuses: string[]) =>
    rows.reduce((sum, row) => sum + (statuses.includes(row.status) ? row.jobs : 0), 0);
  return { waiting: count('pending', 'blocked'), running: count('running'), oldestAgeMs: oldest(rows) };
}

function flowOf(rows: views.UserLoad[]): Pick<Stats, 'inPerMinute' | 'outPerMinute'> {
  return {
    inPerMinute: rows.reduce((sum, row) => sum + row.created, 0),
    outPerMinute: rows.reduce((sum, row) => sum + row.finished, 0),
  };
}

function total(loads: Load[]): Load {
  return {
    waiting: loads.reduce((sum, one) => sum + one.waiting, 0),
    running: loads.reduce((sum, one) => sum + one.running, 0),
    oldestAgeMs: oldest(loads),
  };
}

function flow(queues: QueueStatistics[]): Pick<Stats, 'inPerMinute' | 'outPerMinute'> {
  return {
    inPerMinute: queues.reduce((sum, one) => sum + one.inPerMinute, 0),
    outPerMinute: queues.reduce((sum, one) => sum + one.outPerMinute, 0),
  };
}

function shown<One extends { oldestAgeMs: number | null }>(one: One): One {
  return { ...one, oldestAgeMs: oldest([one]) };
}

/** An age may be negative, when a job becomes due between two readings of the clock. */
function oldest(loads: { oldestAgeMs: number | null }[]): number | null {
  const ages = loads.flatMap(({ oldestAgeMs }) => (oldestAgeMs === null ? [] : [Math.max(0, Math.round(oldestAgeMs))]));
  return ages.length === 0 ? null : Math.max(...ages);
}

function busiestFirst(a: Load, b: Load): number {
  return b.waiting + b.running - a.waiting - a.running;
}

function grouped(rows: views.UserLoad[], keyOf: (row: views.UserLoad) => string): [string, views.UserLoad[]][] {
  const groups = new Map<string, views.UserLoad[]>();
  for (const row of rows) groups.set(keyOf(row), [...(groups.get(keyOf(row)) ?? []), row]);
  return [...groups];
}
