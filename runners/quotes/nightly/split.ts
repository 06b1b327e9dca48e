import { type JobContext, NonRetryableError, SuspendError } from '@baton/runner-sdk';
import { z } from 'zod';
import { readInput } from '../quotes/input';
import { batchQuoteProcess } from '../quotes/job';
import { type NightlyArguments, type NightlyResult, partKey, quotesMerge } from './job';

/** What an attempt that was suspended goes on with. */
const checkpoint = z.object({ workflowId: z.string(), quotes: z.int(), parts: z.int() });

/** Creates the handler of QUOTES_NIGHTLY. While the workflow runs, the job is suspended and takes no slot. */
export function quotesSplitter({ quotesDirectory }: { quotesDirectory: string }) {
  return async (args: NightlyArguments, job: JobContext): Promise<NightlyResult> => {
    const last = checkpoint.safeParse(job.lastCheckpoint);
    const begun = last.success ? last.data : await begin(args, job, quotesDirectory);
    const outcome = new Map(Object.entries(job.dependencies)).get(begun.workflowId);
    if (outcome === undefined) throw new SuspendError({ workflowId: begun.workflowId });
    if (outcome.status !== 'completed')
      throw new NonRetryableError(`the workflow ${begun.workflowId} of the parts ended as ${outcome.status}`);
    return begun;
  };
}

async function begin(
  { file, parts, paceMs }: NightlyArguments,
  job: JobContext,
  quotesDirectory: string,
): Promise<NightlyResult> {
  const { end: quotes } = await readInput({ file, offset: 0, paceMs }, quotesDirectory);
  const count = Math.ceil(quotes / parts);
  const offsets = Array.from({ length: Math.ceil(quotes / count) }, (_, nth) => nth * count);
  const { id } = await job.startWorkflow('quotes', (workflow) => {
    const steps = offsets.map((offset, nth) =>
      workflow.add(
        batchQuoteProcess,
        { file, offset, count: Math.min(count, quotes - offset), paceMs },
        { key: partKey(nth) },
      ),
    );
    workflow.add(quotesMerge, { parts: steps.length }, { key: 'merge', after: steps });
  });
  const begun = { workflowId: id, quotes, parts: offsets.length };
  await job.checkpoint(begun);
  return begun;
}
