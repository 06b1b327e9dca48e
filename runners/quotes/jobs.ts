/** Exports for producers. `index.ts` starts the runner and is not for them. */
export { batchQuoteProcess, type BatchResult, type Quote } from './quotes/job';
export { type MergedResult, type NightlyResult, quotesMerge, quotesNightly } from './nightly/job';
export { type Film, tmdbSync } from './tmdb/job';
