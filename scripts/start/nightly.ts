import { setTimeout as sleep } from 'node:timers/promises';
import { batchQuoteProcess, type MergedResult, quotesMerge, quotesNightly } from '@baton/runner-quotes/jobs';
import type { Client, Job } from '@baton/runner-sdk';
import { followJobs, isFinished } from './demo';
import type { Screen } from './screen';

/** Slow enough to watch. */
const PACE_MS = 25;
const POLL_MS = 150;
const NAME = 'nightly-quotes';
const CRON = '0 2 * * *';

export interface Nightly {
  /** The run that was started by hand. */
  job: Job;
  timezone: string;
  /** When the schedule ticks by itself next, in ISO 8601. */
  next: string;
}

/**
 * Has the quotes processed every night at two in this machine's zone, and once now. The same schedule at each start.
 */
export async function scheduleQuotes(client: Client): Promise<Nightly> {
  const { timeZone: timezone } = Intl.DateTimeFormat().resolvedOptions();
  const schedule = await client.schedules.put(
    quotesNightly,
    { paceMs: PACE_MS },
    { name: NAME, cron: CRON, timezone, job: { tags: ['npm-start'] } },
  );
  const [next = ''] = await client.schedules.next(schedule.id, { count: 1 });
  return { job: await client.schedules.run(schedule.id), timezone, next };
}

/** Shows the parts until all have ended; then what the last job of the workflow made of them; null: it was stopped. */
export async function followNightly(
  client: Client,
  { job }: Nightly,
  screen: Screen,
  signal: AbortSignal,
): Promise<MergedResult | null> {
  const parts = await partsOf(client, job, signal);
  await followJobs(client, { jobs: parts, wasDone: false }, screen, signal);
  const ended = await untilFinished(client, job, signal);
  if (ended === null) return null;
  if (ended.status !== 'completed')
    throw new Error(`the nightly job ended as ${ended.status}: ${ended.error?.message}`);
  const { workflowId } = ended.result as { workflowId: string };
  const { items } = await client.list({ workflowId, type: quotesMerge.type });
  return (items[0]?.result ?? null) as MergedResult | null;
}

/** The jobs that the nightly one has created, in the order of the quotes. */
async function partsOf(client: Client, job: Job, signal: AbortSignal): Promise<Job[]> {
  while (!signal.aborted) {
    const { items } = await client.list({ type: batchQuoteProcess.type, createdAfter: job.createdAt, limit: 100 });
    if (items.length > 0) return Promise.all(items.map(({ id }) => client.get(id))).then(inOrder);
    if (isFinished(await client.get(job.id))) return [];
    await sleep(POLL_MS, undefined, { signal }).catch(() => undefined);
  }
  return [];
}

function inOrder(jobs: Job[]): Job[] {
  const offsetOf = (job: Job): number => (job.arguments as { offset: number }).offset;
  return jobs.sort((one, other) => offsetOf(one) - offsetOf(other));
}

async function untilFinished(client: Client, job: Job, signal: AbortSignal): Promise<Job | null> {
  while (!signal.aborted) {
    const now = await client.get(job.id);
    if (isFinished(now)) return now;
    await sleep(POLL_MS, undefined, { signal }).catch(() => undefined);
  }
  return null;
}
