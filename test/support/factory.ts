import { randomUUID } from 'node:crypto';
import type { ClaimedJob, CreateJob, Job, JobStatus } from '@baton/runner-sdk/protocol';
import { expectStatus } from './api';
import type { TestCoordinator } from './coordinator';
import type { TestSql } from './sql';

/** A job in some state, with what its runner holds of it. */
export interface Made {
  job: Job;
  /** The last claim of it, if there was one. */
  claimed: ClaimedJob | undefined;
}

/** Every state in which a job can be found, those that differ in how it got there included. */
export const STATES = [
  'blocked',
  'pending',
  'delayed',
  'retrying',
  'released',
  'running',
  'completed',
  'failed',
  'cancelled',
  'expired',
] as const;
export type State = (typeof STATES)[number];

export const STATUS_OF: Record<State, JobStatus> = {
  blocked: 'blocked',
  pending: 'pending',
  delayed: 'pending',
  retrying: 'pending',
  released: 'pending',
  running: 'running',
  completed: 'completed',
  failed: 'failed',
  cancelled: 'cancelled',
  expired: 'cancelled',
};

/** A type that no other test uses, so that claims find only the test's own jobs. */
export function uniqueType(name = 'type'): string {
  return `${name}-${randomUUID().slice(0, 8)}`;
}

/** Brings a job into a state through the verbs that lead there. */
export async function jobIn(
  state: State,
  { api, runMonitor, sql }: TestCoordinator & { sql: TestSql },
  more: Partial<CreateJob> = {},
): Promise<Made> {
  const type = more.type ?? uniqueType(state);
  const delayMs = state === 'delayed' ? 3_600_000 : undefined;
  const { id } = await api.create({
    type,
    ...(delayMs === undefined ? {} : { delayMs }),
    ...(state === 'blocked' ? { dependsOn: [await unfinished(api, more)] } : {}),
    ...more,
  });
  const claimed = hasRun(state) ? await api.claimOne({ runnerId: `runner-of-${type}`, types: [type] }) : undefined;
  if (claimed !== undefined) await end(state, api, claimed);
  if (state === 'cancelled') expectStatus(await api.post(`/jobs/${id}/cancel`, { reason: 'made so' }), 200);
  if (state === 'expired') {
    await sql.expireJob(id);
    await runMonitor();
  }
  const job = await api.job(id);
  if (job.status !== STATUS_OF[state]) throw new Error(`made a job that is ${job.status}, not ${state}`);
  return { job, claimed };
}

/** A job that nobody runs, of the same user. */
async function unfinished(api: TestCoordinator['api'], { userId }: Partial<CreateJob>): Promise<string> {
  const type = uniqueType('parent');
  return (await api.create({ type, delayMs: 3_600_000, ...(userId === undefined ? {} : { userId }) })).id;
}

function hasRun(state: State): boolean {
  return ['retrying', 'released', 'running', 'completed', 'failed'].includes(state);
}

async function end(state: State, api: TestCoordinator['api'], claimed: ClaimedJob): Promise<void> {
  const failed = (retryable: boolean) => ({ outcome: 'failed', error: { message: 'made to fail', retryable } });
  if (state === 'completed')
    expectStatus(await api.complete(claimed, { outcome: 'completed', result: { made: true } }), 200);
  if (state === 'failed') expectStatus(await api.complete(claimed, failed(false)), 200);
  if (state === 'retrying') expectStatus(await api.complete(claimed, failed(true)), 200);
  if (state === 'released')
    expectStatus(await api.post(`/jobs/${claimed.id}/release`, { leaseToken: claimed.leaseToken }), 200);
}
