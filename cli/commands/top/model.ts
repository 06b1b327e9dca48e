import type { Client, Explanation, Job, JobListPage, Queue, RunnerView, Stats } from '@baton/runner-sdk';
import { allRunners } from '../runners';

/** What is on the screen; the last is shown, and going back leads to the one before. */
export type View =
  | { kind: 'overview'; focus: 'queues' | 'runners' }
  | { kind: 'jobs'; title: string; filter: { queue: string } | { runnerId: string } }
  | { kind: 'job'; id: string };

/** What was read for a view. */
export interface Reading {
  stats: Stats;
  queues: Queue[];
  /** Empty for a key that may not see them. */
  runners: RunnerView[];
  jobs: JobListPage['items'];
  job: Job | null;
  explanation: Explanation | null;
}

const MOST_JOBS = 200;
const UNFINISHED = new Set(['pending', 'blocked']);

export async function read(client: Client, view: View): Promise<Reading> {
  const [stats, queues, runners, jobs, job] = await Promise.all([
    client.stats(),
    client.queues(),
    allRunners(client).catch(() => []),
    view.kind === 'jobs' ? client.list({ ...view.filter, limit: MOST_JOBS }).then(({ items }) => items) : [],
    view.kind === 'job' ? client.get(view.id) : null,
  ]);
  const explanation = job !== null && UNFINISHED.has(job.status) ? await client.explain(job.id) : null;
  return {
    stats,
    queues: [...queues].sort(byLoad),
    runners: [...runners].filter(isThere).sort(byRunning),
    jobs,
    job,
    explanation,
  };
}

/** The names of the rows that can be chosen. */
export function rowsOf(view: View, { queues, runners, jobs }: Reading): string[] {
  if (view.kind === 'jobs') return jobs.map(({ id }) => id);
  if (view.kind === 'job') return [];
  return view.focus === 'queues' ? queues.map(({ name }) => name) : runners.map(({ id }) => id);
}

function byLoad(one: Queue, other: Queue): number {
  return other.waiting + other.running - one.waiting - one.running || one.name.localeCompare(other.name);
}

function byRunning(one: RunnerView, other: RunnerView): number {
  return other.running - one.running || one.id.localeCompare(other.id);
}

function isThere({ status }: RunnerView): boolean {
  return status !== 'stopped';
}
