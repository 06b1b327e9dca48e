import { openSync, writeSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { type JobContext, Runner } from '@baton/runner-sdk';
import type { LedgerLine } from './history';
import type { RunnerOptions } from './processes';
import { WORK, type Work, type WorkResult } from './work';

// A runner as a user would write one, but for its ledger: lines appended to a file in one write each, so that they
// stand there whatever becomes of the process.

const options = JSON.parse(process.argv[2] ?? '{}') as Omit<RunnerOptions, 'urls'>;
const ledger = openSync(options.ledgerFile, 'a');
const runner = new Runner({
  name: options.name,
  concurrency: options.concurrency ?? 4,
  leaseMs: options.leaseMs ?? 1000,
  graceMs: options.graceMs ?? 2000,
  abortGraceMs: 500,
});

async function work(args: Work, job: JobContext): Promise<WorkResult> {
  write('start', job);
  const ms = turn(args.ms, job.attempt) ?? 0;
  switch (turn(args.does, job.attempt) ?? 'wait') {
    case 'wait':
      await sleep(ms, undefined, { signal: job.signal }).catch((error: unknown) => {
        write('abort', job);
        throw error;
      });
      break;
    case 'spin':
      spin(ms);
      break;
    case 'exit':
      await sleep(ms);
      process.exit(17);
    case 'fail':
      await sleep(ms);
      write('end', job);
      throw new Error('told to fail');
  }
  write('end', job);
  return { key: args.key, attempt: job.attempt, runnerId: runner.id };
}

function turn<T>(list: T[], attempt: number): T | undefined {
  return list[Math.min(attempt, list.length) - 1];
}

function spin(ms: number): void {
  const endsAt = performance.now() + ms;
  while (performance.now() < endsAt);
}

function write(event: LedgerLine['event'], { id, attempt }: JobContext): void {
  const line: LedgerLine = { event, jobId: id, attempt, runnerId: runner.id, atMs: Date.now() };
  writeSync(ledger, `${JSON.stringify(line)}\n`);
}

runner.handle(WORK, (args, job) => work(args as Work, job));
void runner.start();
