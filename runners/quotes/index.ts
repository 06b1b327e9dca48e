import { ConfigurationError, Runner } from '@baton/runner-sdk';
import { ConfigError, readConfig } from './config';
import { quotesMerge, quotesNightly } from './nightly/job';
import { mergeQuotes } from './nightly/merge';
import { quotesSplitter } from './nightly/split';
import { batchQuoteProcess } from './quotes/job';
import { quoteProcessor } from './quotes/process';
import { TmdbClient } from './tmdb/client';
import { tmdbSync } from './tmdb/job';

async function main(): Promise<void> {
  const config = readConfig();
  const runner = new Runner({
    coordinatorUrl: config.coordinatorUrls,
    apiKey: config.runnerKey,
    concurrency: config.concurrency,
  });

  runner.handle(batchQuoteProcess, quoteProcessor(config));
  runner.handle(quotesNightly, quotesSplitter(config));
  runner.handle(quotesMerge, mergeQuotes);
  if (config.tmdb === null) {
    info('TMDB_SYNC is not taken: set TMDB_API_KEY to take it');
  } else {
    const tmdb = new TmdbClient(config.tmdb);
    runner.handle(tmdbSync, (args, job) => tmdb.movie(args.movieId, job.signal));
  }
  await runner.start();
}

/** Logs a line in the format of the runner's own messages. */
function info(message: string): void {
  process.stderr.write(`${JSON.stringify({ at: new Date().toISOString(), level: 'info', message })}\n`);
}

main().catch((error: unknown) => {
  if (!(error instanceof ConfigError || error instanceof ConfigurationError)) throw error;
  process.stderr.write(`${error.message}\n`);
  process.exitCode = 1;
});
