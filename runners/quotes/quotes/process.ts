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
  /** Incremented when the output format changes, so that no file is started by one version and finished by another. */
  version: z.literal(1),
  /** Digest of the quotes: another attempt may find a different file with that name. */
  input: z.string(),
  /** The year used to check years, fixed even across New Year's Eve. */
  currentYear: z.int(),
  tally,
  /** Bytes of the output that are certainly on disk. */
  bytes: z.int().min(1),
});
type State = Omit<z.infer<typeof checkpoint>, 'version' | 'bytes'>;

interface Directories {
  quotesDirectory: string;
  outputDirectory: string;
}

/**
 * Creates the handler of BATCH_QUOTE_PROCESS. An attempt after a killed one continues from its last checkpoint when the
 * same quotes and the output file still exist, else it starts over; either way each quote is written once.
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

/** The file first, then the checkpoint: in the other order a power failure could leave a gap. */
async function saveCheckpoint(
  output: NdjsonOutput,
  { input, currentYear, tally }: State,
  job: JobContext,
): Promise<void> {
  await output.sync();
  // Sent with the next heartbeat; waiting until it is stored would delay the next part.
  void job.checkpoint({ version: 1, input, currentYear, tally, bytes: output.bytes } satisfies z.infer<
    typeof checkpoint
  >);
}

function summary(counted: Tally, where: Pick<BatchResult, 'resumedAt' | 'file' | 'bytes'>): BatchResult {
  const { processed, duplicates, nearDuplicates, yearsDoubted, words, sentences, syllables, faults } = counted;
  const counts = { processed, duplicates, nearDuplicates, yearsDoubted, words, sentences, syllables, faults };
  return { ...counts, meanReadingEase: meanReadingEase(counted), ...where };
}
