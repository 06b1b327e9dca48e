import { defineJob } from '@baton/runner-sdk';
import { z } from 'zod';

const quote = z.object({
  quote: z.string().max(10_000),
  movie: z.string().max(500).nullable().default(null),
  year: z.int().nullable().default(null),
  /** `movie`, or another word for what may run for years, such as `tv`. */
  type: z.string().max(50).default('movie'),
});
/** One quote to work on. */
export type Quote = z.infer<typeof quote>;

/** A quote in a file of quotes, where an invalid title or year is a fault to report, not a reason to stop. */
export const quoteRow = quote.extend({
  movie: quote.shape.movie.catch(null),
  year: quote.shape.year.catch(null),
  type: quote.shape.type.catch('movie'),
});

const batchArguments = z
  .strictObject({
    /** The quotes themselves: plain texts, or objects with film and year. Not with `file`. */
    quotes: z
      .array(
        z.union([
          z
            .string()
            .max(10_000)
            .transform((text) => quote.parse({ quote: text })),
          quote,
        ]),
      )
      .min(1)
      .optional(),
    /** A JSON file of quotes in the runner's directory of quotes. Not with `quotes`. */
    file: z.string().min(1).max(255).optional(),
    /** The first quote to process, from 0. */
    offset: z.int().min(0).default(0),
    /** How many to process; default: all from `offset` on. */
    count: z.int().min(1).optional(),
    /** A pause after each quote, for demonstrations and tests. */
    paceMs: z.int().min(0).max(60_000).default(0),
  })
  .refine((given) => (given.quotes === undefined) !== (given.file === undefined), 'give either quotes or file');
export type BatchArguments = z.infer<typeof batchArguments>;

/** What is counted while a batch runs; part of its checkpoint. */
export const tally = z.object({
  processed: z.int(),
  duplicates: z.int(),
  nearDuplicates: z.int(),
  yearsDoubted: z.int(),
  words: z.int(),
  sentences: z.int(),
  syllables: z.int(),
  /** Quotes that have a reading ease, and the sum of theirs. */
  readable: z.int(),
  readingEaseSum: z.number(),
  faults: z.record(z.string(), z.int()),
});
export type Tally = z.infer<typeof tally>;

const batchResult = tally.omit({ readable: true, readingEaseSum: true }).extend({
  meanReadingEase: z.number().nullable(),
  /** How many of the quotes an earlier attempt had processed. */
  resumedAt: z.int(),
  /** The output, as a path on the runner's host. */
  file: z.string(),
  bytes: z.int(),
});
export type BatchResult = z.infer<typeof batchResult>;

/** Checks and normalises a batch of quotes and writes what it finds as NDJSON, one line a quote. */
export const batchQuoteProcess = defineJob({
  type: 'BATCH_QUOTE_PROCESS',
  arguments: batchArguments,
  result: batchResult,
  timeoutMs: 300_000,
});
