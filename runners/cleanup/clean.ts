import type { Storage } from '@baton/runner-kit';
import type { JobContext } from '@baton/runner-sdk';
import { z } from 'zod';
import { purge } from './caches';
import { cleanFiles } from './files';
import type { CleanupArguments, CleanupResult } from './jobs';
import { rotateLog } from './logs';
import { cleanRows } from './rows';
import { stampOf } from './stamp';
import type { Config } from './settings';
import type { Tally } from './tally';

const stored = z.object({
  stamp: z.string(),
  done: z.array(z.object({ kind: z.string(), count: z.int(), bytes: z.int(), examples: z.array(z.string()) })),
});

export interface CleanOptions {
  storage: Storage;
  config: Config;
  /** Called for each task that was carried out, with what it did. */
  onTask?: (done: CleanupResult['tasks'][number]) => void;
}

/** Carries out the tasks of a job one after the other; tasks that an earlier attempt has finished are skipped. */
export async function clean(
  { tasks, dryRun }: CleanupArguments,
  { storage, config, onTask }: CleanOptions,
  job: JobContext,
): Promise<CleanupResult> {
  const read = stored.safeParse(job.lastCheckpoint);
  const state = read.success ? read.data : { stamp: stampOf(new Date()), done: [] };
  // Stored before any name is derived from it.
  if (!read.success) await job.checkpoint(state);
  for (const [index, task] of tasks.entries()) {
    if (index < state.done.length) continue;
    job.progress((100 * index) / tasks.length, task.kind);
    const tally = await carryOut(task, dryRun, state.stamp);
    state.done.push(tally.result);
    if (!dryRun) onTask?.(tally.result);
    await job.checkpoint(state);
  }
  return { dryRun, tasks: state.done };

  function carryOut(task: CleanupArguments['tasks'][number], isDryRun: boolean, stamp: string): Promise<Tally> {
    switch (task.kind) {
      case 'files':
        return cleanFiles(task, storage, job, isDryRun);
      case 'log':
        return rotateLog(task, storage, job, { isDryRun, stamp });
      case 'rows':
        return cleanRows(task, config.statements, job, isDryRun);
      case 'cache':
        return purge(task, config.caches, job, isDryRun);
    }
  }
}
