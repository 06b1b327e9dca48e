import { defineJob } from '@baton/runner-sdk';
import { z } from 'zod';
import { tally } from '../quotes/job';

const nightlyArguments = z.strictObject({
  /** A JSON file of quotes in the runner's directory of quotes. */
  file: z.string().min(1).max(255).default('data.json'),
  /** Into how many jobs the quotes are cut. */
  parts: z.int().min(1).max(100).default(8),
  /** A pause after each quote, for demonstrations and tests, in milliseconds. */
  paceMs: z.int().min(0).max(60_000).default(0),
});
export type NightlyArguments = z.infer<typeof nightlyArguments>;

const nightlyResult = z.object({
  /** The workflow that did the work. */
  workflowId: z.string(),
  quotes: z.int(),
  parts: z.int(),
});
export type NightlyResult = z.infer<typeof nightlyResult>;

/** Cuts a file of quotes into parts, has them processed side by side, and ends when their results are merged. */
export const quotesNightly = defineJob({
  type: 'QUOTES_NIGHTLY',
  arguments: nightlyArguments,
  result: nightlyResult,
});

const mergedResult = tally.omit({ readable: true, readingEaseSum: true }).extend({
  /** The outputs of the parts, as paths on the hosts of their runners. */
  files: z.array(z.string()),
});
export type MergedResult = z.infer<typeof mergedResult>;

/** Adds up the results of the parts; the last job of the workflow. */
export const quotesMerge = defineJob({
  type: 'QUOTES_MERGE',
  arguments: z.strictObject({ parts: z.int().min(1).max(100) }),
  result: mergedResult,
});

/** The key of a part in the workflow, counted from 0. */
export const partKey = (nth: number): string => `part-${nth + 1}`;
