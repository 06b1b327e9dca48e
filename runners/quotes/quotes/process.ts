import type { JobContext } from '@baton/runner-sdk';
import path from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { z } from 'zod';
import { analyse } from './analyse';
import { readInput } from './input';
import { type BatchArguments, type BatchResult, tally, type Tally } from './job';
import { NdjsonOutput } from './output';
import { addFinding, EMPTY_TALLY, meanReadingEase } from './tally';

const CHECKPOINT_EVERY = 100;

const checkpoint = z.object({
  /** Goes up when the lines of the output change, so that no file is begun by one version and ended by another. */
  version: z.literal(1),
  /** Digest of the quotes worked on: another attempt may find another file of that name. */
  input: z.string(),
  /** The year against which years are judged, kept over New Year's Eve. */
  currentYear: z.int(),
  tally,
  /** How much of the output is surely on the disk. */
  bytes: z.int().min(1),
});
type State = Omit<z.infer<typeof checkpoint>, 'version' | 'bytes'>;

interface Directories {
  quotesDirectory: string;
  outputDirectory: string;
}

/**
 * Makes the handler of BATCH_QUOTE_PROCESS. An attempt after a killed one goes on from its last checkpoint when the
 * same quotes and the output file are still there, else it begins anew; either way each quote is written once.
 */
export function quoteProcessor({ quotesDirectory, outputDirectory }: Directories) {
  return async (args: BatchArguments, job: JobContext): Promise<BatchResult> => {
    const input = await readInput(args, quotesDirectory);
    const file = path.join(outputDirectory, `${job.id}.ndjson`);
    const { output, state } = await beginOrResume(file, input.digest, job);
    const resumedAt = state.tally.processed;
    const total = input.end - input.start;
    try {
      for (const finding of analyse(input.quotes, input.start + resumedAt, input.end, state.currentYear)) {
        job.signal.throwIfAborted();
        await output.write(finding.line);
        state.tally = addFinding(state.tally, finding);
        const { processed } = state.tally;
        job.progress((processed / total) * 100, `${processed} of ${total} quotes`);
        if (processed % CHECKPOINT_EVERY === 0) await saveCheckpoint(output, state, job);
        if (args.paceMs > 0) await pause(args.paceMs, undefined, { signal: job.signal });
      }
      await output.sync();
    } finally {
      await output.close();
    }
    return summary(state.tally, { resumedAt, file, bytes: output.bytes });
  };
}

async function beginOrResume(
  file: string,
  input: string,
  job: JobContext,
): Promise<{ output: NdjsonOutput; state: State }> {
  const last = checkpoint.safeParse(job.lastCheckpoint);
  if (last.success && last.data.input === input) {
    const output = await NdjsonOutput.resume(file, last.data.bytes);
    if (output !== null) {
      job.log.info(`goes on after ${last.data.tally.processed} quotes`);
      return { output, state: last.data };
    }
    job.log.warn('begins anew: the output of the former attempt is not on this host');
  }
  return {
    output: await NdjsonOutput.create(file),
    state: { input, currentYear: new Date().getUTCFullYear(), tally: EMPTY_TALLY },
  };
}

/** First the file, then the word that it is there: the other way round a power cut would leave a hole. */
async function saveCheckpoint(
  output: NdjsonOutput,
  { input, currentYear, tally }: State,
  job: JobContext,
): Promise<void> {
  await output.sync();
  // It travels with the next heartbeat: to wait until it is stored would hold up the next part.
  void job.checkpoint({ version: 1, input, currentYear, tally, bytes: output.bytes } satisfies z.infer<
    typeof checkpoint
  >);
}

function summary(counted: Tally, where: Pick<BatchResult, 'resumedAt' | 'file' | 'bytes'>): BatchResult {
  const { processed, duplicates, nearDuplicates, yearsDoubted, words, sentences, syllables, faults } = counted;
  const counts = { processed, duplicates, nearDuplicates, yearsDoubted, words, sentences, syllables, faults };
  return { ...counts, meanReadingEase: meanReadingEase(counted), ...where };
}
