import { type JobContext, NonRetryableError } from '@baton/runner-sdk';
import { type BatchResult, batchQuoteProcess } from '../quotes/job';
import { type MergedResult, partKey } from './job';

/** Handles QUOTES_MERGE: the coordinator hands the results of the parts to the job with its claim. */
export async function mergeQuotes({ parts }: { parts: number }, job: JobContext): Promise<MergedResult> {
  const results: BatchResult[] = [];
  for (let nth = 0; nth < parts; nth += 1) {
    const result = await job.resultOf(batchQuoteProcess, partKey(nth));
    if (result === undefined) throw new NonRetryableError(`the result of ${partKey(nth)} is missing`);
    results.push(result);
  }
  return merged(results);
}

function merged(results: readonly BatchResult[]): MergedResult {
  const sum = (of: (result: BatchResult) => number): number => results.reduce((total, one) => total + of(one), 0);
  const faults = new Map<string, number>();
  for (const one of results)
    for (const [fault, count] of Object.entries(one.faults)) faults.set(fault, (faults.get(fault) ?? 0) + count);
  return {
    processed: sum(({ processed }) => processed),
    duplicates: sum(({ duplicates }) => duplicates),
    nearDuplicates: sum(({ nearDuplicates }) => nearDuplicates),
    yearsDoubted: sum(({ yearsDoubted }) => yearsDoubted),
    words: sum(({ words }) => words),
    sentences: sum(({ sentences }) => sentences),
    syllables: sum(({ syllables }) => syllables),
    faults: Object.fromEntries(faults),
    files: results.map(({ file }) => file),
  };
}
