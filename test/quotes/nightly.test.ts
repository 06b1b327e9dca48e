import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client, Runner } from '@baton/runner-sdk';
import { readConfig } from '../../runners/quotes/config';
import { quotesMerge, quotesNightly } from '../../runners/quotes/nightly/job';
import { mergeQuotes } from '../../runners/quotes/nightly/merge';
import { quotesSplitter } from '../../runners/quotes/nightly/split';
import { batchQuoteProcess } from '../../runners/quotes/quotes/job';
import { quoteProcessor } from '../../runners/quotes/quotes/process';
import { startCoordinator } from '../support/coordinator';

// The work of a night: a schedule's job cuts the quotes into parts, waits for them without a slot, and they are merged.

let coordinator: Awaited<ReturnType<typeof startCoordinator>>;
let client: Client;
let runner: Runner;
const outputDirectory = mkdtempSync(join(tmpdir(), 'quotes-nightly-'));

beforeAll(async () => {
  coordinator = await startCoordinator();
  const connection = { coordinatorUrl: coordinator.url, proxy: false as const };
  client = new Client({ ...connection, apiKey: coordinator.adminKey });
  // One slot: the job that waits for the parts must not keep it.
  const apiKey = await coordinator.api.makeKey({ name: 'quotes', role: 'runner' });
  runner = new Runner({
    ...connection,
    apiKey,
    concurrency: 1,
    logger: { debug() {}, info() {}, warn() {}, error() {} },
  });
  const { quotesDirectory } = readConfig({ RUNNER_KEY: apiKey });
  runner.handle(batchQuoteProcess, quoteProcessor({ quotesDirectory, outputDirectory }));
  runner.handle(quotesNightly, quotesSplitter({ quotesDirectory }));
  runner.handle(quotesMerge, mergeQuotes);
  await runner.start();
});
afterAll(async () => {
  await runner.stop();
  await client.close();
  await coordinator.stop();
  rmSync(outputDirectory, { recursive: true });
});

test('the quotes are processed in parts and merged, with one slot', async () => {
  const schedule = await client.schedules.put(
    quotesNightly,
    { parts: 3 },
    { name: 'nightly-quotes', cron: '0 2 * * *', timezone: 'Europe/Lisbon' },
  );
  const { id } = await client.schedules.run(schedule.id);
  const result = await client.wait(id, { definition: quotesNightly, timeoutMs: 60_000 });
  expect(result).toMatchObject({ quotes: 730, parts: 3 });
  const workflow = await client.workflows.get(result?.workflowId ?? '');
  expect(Object.keys(workflow.jobs)).toEqual(['part-1', 'part-2', 'part-3', 'merge']);
  const merged = await client.get(workflow.jobs['merge']?.id ?? '');
  // As one batch over all quotes counts them.
  expect(merged.result).toMatchObject({
    processed: 730,
    duplicates: 23,
    nearDuplicates: 16,
    yearsDoubted: 33,
    words: 9432,
    faults: { year_before_sound_film: 1, year_differs: 32, quotation_mark_missing: 1, censored: 5 },
  });
});

test('a part that fails for good fails the night, in words', async () => {
  const job = await client.create(quotesNightly, { file: 'nowhere.json' }, { maxAttempts: 1 });
  await expect(client.wait(job.id, { timeoutMs: 30_000 })).rejects.toThrow(/there is no file "nowhere.json"/);
});
