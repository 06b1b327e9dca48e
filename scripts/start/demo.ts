import { createHash, randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { type BatchResult, batchQuoteProcess } from '@baton/runner-quotes/jobs';
import type { Client, Job } from '@baton/runner-sdk';
import { finding } from './finding';
import type { Screen } from './screen';

/** Number of quotes in the package popular-movie-quotes, and per job. */
const QUOTES = 730;
const BATCH = 92;
/** Slow enough to watch. */
const PACE_MS = 25;
const POLL_MS = 150;
const TITLE_WIDTH = 15;

export interface Demo {
  jobs: Job[];
  /** Whether these jobs were submitted by an earlier start. */
  wasDone: boolean;
}

/**
 * Submits the quotes in eight jobs with idempotency keys, so that jobs submitted before are found.
 * @param again submit them anew
 */
export async function submitQuotes(client: Client, again: boolean): Promise<Demo> {
  const offsets = Array.from({ length: Math.ceil(QUOTES / BATCH) }, (_, index) => index * BATCH);
  const jobs = await Promise.all(
    offsets.map((offset) => {
      const args = { file: 'data.json', offset, count: Math.min(BATCH, QUOTES - offset), paceMs: PACE_MS };
      const print = createHash('sha256').update(JSON.stringify(args)).digest('hex').slice(0, 12);
      return client.create(batchQuoteProcess, args, {
        tags: ['npm-start'],
        idempotencyKey: `npm-start-${again ? randomUUID() : print}`,
      });
    }),
  );
  return { jobs, wasDone: jobs.every(isFinished) };
}

/** Shows the jobs until all have finished, or the signal is aborted. */
export async function followJobs(client: Client, demo: Demo, screen: Screen, signal: AbortSignal): Promise<Job[]> {
  let { jobs } = demo;
  const told = new Set<string>();
  while (!signal.aborted) {
    screen.draw(jobs.map((job) => row(job, screen)));
    for (const job of jobs.filter((each) => isFinished(each) && !told.has(each.id))) {
      told.add(job.id);
      if (!screen.isLive) screen.line(row(job, screen));
    }
    if (jobs.every(isFinished)) break;
    await sleep(POLL_MS, undefined, { signal }).catch(() => undefined);
    // A restarting coordinator is unavailable for a moment; the client waits for it.
    jobs = await Promise.all(jobs.map(async (job) => (isFinished(job) ? job : client.get(job.id))));
  }
  screen.settle(screen.isLive ? jobs.map((job) => row(job, screen)) : []);
  return jobs;
}

/** A summary of the results, in a few lines. */
export function summary(jobs: Job[], screen: Screen): string[] {
  const results = jobs.filter((job) => job.status === 'completed').map((job) => job.result as BatchResult);
  const sum = (read: (result: BatchResult) => number): number =>
    results.reduce((total, result) => total + read(result), 0);
  const failed = jobs.length - results.length;
  const counts = [
    `${screen.bold(String(sum((result) => result.processed)))} quotes, ${sum((result) => result.words)} words`,
    `${sum((result) => result.duplicates)} said twice`,
    `${sum((result) => result.nearDuplicates)} nearly so`,
    `${sum((result) => result.yearsDoubted)} with a doubtful year`,
  ];
  const found = finding(results.map((result) => result.file));
  return [
    `${counts.join(' · ')}${failed > 0 ? screen.red(` · ${failed} jobs did not complete`) : ''}`,
    ...(found === undefined ? [] : [screen.dim(`such as ${found}`)]),
  ];
}

function row(job: Job, screen: Screen): string {
  const { offset, count } = job.arguments as { offset: number; count: number };
  const title = `quotes ${offset + 1}–${offset + count}`.padEnd(TITLE_WIDTH);
  const percent = job.status === 'completed' ? 100 : (job.progress?.percent ?? 0);
  return `  ${title} ${screen.bar(percent / 100)} ${`${Math.floor(percent)} %`.padStart(5)}  ${state(job, screen)}`;
}

function state(job: Job, screen: Screen): string {
  switch (job.status) {
    case 'completed': {
      const { metrics } = job;
      return (
        screen.green('completed') +
        (metrics?.durationMs ? screen.dim(` in ${(metrics.durationMs / 1000).toFixed(1)} s`) : '')
      );
    }
    case 'failed':
      return screen.red(`failed: ${job.error?.message ?? 'no reason given'}`);
    case 'running':
      return [
        `running${job.attempt > 1 ? `, attempt ${job.attempt}` : ''}`,
        screen.dim(job.progress?.message ?? ''),
      ].join('  ');
    default:
      return screen.dim(job.failures > 0 ? `waits for try ${job.failures + 1}` : job.status);
  }
}

export function isFinished({ status }: { status: string }): boolean {
  return status === 'completed' || status === 'failed' || status === 'cancelled';
}
