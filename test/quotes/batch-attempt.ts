import { type HandlerRun, runHandler, type RunHandlerOptions, startHandler } from '@baton/runner-sdk/testing';
import { randomUUID } from 'node:crypto';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { batchQuoteProcess, type BatchResult } from '../../runners/quotes/quotes/job';
import { quoteProcessor } from '../../runners/quotes/quotes/process';

export type BatchRun = HandlerRun<BatchResult>;

/** The quotes of the package, all 730. */
export const FILE = 'data.json';

/** One job of type BATCH_QUOTE_PROCESS, with a directory of its own for its output. */
export class BatchJob {
  readonly outputFile: string;
  private readonly id = randomUUID();

  private constructor(private readonly outputDirectory: string) {
    this.outputFile = path.join(outputDirectory, `${this.id}.ndjson`);
  }

  static async create(): Promise<BatchJob> {
    return new BatchJob(await mkdtemp(path.join(tmpdir(), 'quotes-')));
  }

  start(given: object, options: RunHandlerOptions = {}) {
    return startHandler(batchQuoteProcess, this.handler(), given, { id: this.id, ...options });
  }

  attempt(given: object, options: RunHandlerOptions = {}): Promise<BatchRun> {
    return runHandler(batchQuoteProcess, this.handler(), given, { id: this.id, ...options });
  }

  /** An attempt that must come to its end. */
  async complete(given: object, options: RunHandlerOptions = {}): Promise<BatchRun & { outcome: 'completed' }> {
    const ended = await this.attempt(given, options);
    if (ended.outcome !== 'completed') throw new Error(`${ended.outcome}: ${ended.error?.message}`);
    return ended;
  }

  async text(): Promise<string> {
    return readFile(this.outputFile, 'utf8');
  }

  async lines(): Promise<Record<string, unknown>[]> {
    const text = await this.text();
    return text
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, unknown>);
  }

  async remove(): Promise<void> {
    await rm(this.outputDirectory, { recursive: true });
  }

  private handler() {
    const quotesDirectory = path.dirname(require.resolve('popular-movie-quotes/data/data.json'));
    return quoteProcessor({ quotesDirectory, outputDirectory: this.outputDirectory });
  }
}
