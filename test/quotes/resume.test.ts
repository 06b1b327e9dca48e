import type { Json } from '@baton/runner-sdk';
import type { HandlerEvent } from '@baton/runner-sdk/testing';
import { appendFile, rm, stat, truncate, writeFile } from 'node:fs/promises';
import type { BatchResult } from '../../runners/quotes/quotes/job';
import { BatchJob, type BatchRun, FILE } from './batch-attempt';

type Checkpoint = { bytes: number };

let job: BatchJob;
beforeEach(async () => {
  job = await BatchJob.create();
});
afterEach(() => job.remove());

describe('an attempt after a killed one', () => {
  let whole: { text: string; result: BatchResult };
  beforeAll(async () => {
    const untroubled = await BatchJob.create();
    const { result } = await untroubled.complete({ file: FILE });
    whole = { text: await untroubled.text(), result };
    await untroubled.remove();
  });

  /** An attempt that ends at a word of its own, with nothing tidied up; returns the checkpoints that got out. */
  async function killed(
    isMoment: (event: HandlerEvent, quotes: number) => boolean,
    lastCheckpoint: unknown = null,
  ): Promise<Json[]> {
    let quotes = 0;
    const onEvent = (event: HandlerEvent) => {
      if (event.kind === 'progress') quotes += 1;
      if (isMoment(event, quotes)) throw new Error('killed');
    };
    const ended = await job.attempt({ file: FILE }, { lastCheckpoint, onEvent });
    expect(ended.error?.message).toBe('killed');
    return ended.checkpoints;
  }

  /** Killed after so many quotes of its own; returns the checkpoint that the next attempt gets. */
  async function killAt(quote: number, lastCheckpoint: unknown = null): Promise<Checkpoint> {
    const checkpoints = await killed((event, quotes) => event.kind === 'progress' && quotes === quote, lastCheckpoint);
    return (checkpoints.at(-1) ?? lastCheckpoint) as Checkpoint;
  }

  async function expectWhole(lastCheckpoint: unknown, resumedAt: number): Promise<BatchRun> {
    const ended = await job.complete({ file: FILE }, { lastCheckpoint });
    expect(ended.result).toEqual({ ...whole.result, resumedAt, file: job.outputFile });
    expect(await job.text()).toBe(whole.text);
    return ended;
  }

  it.each([
    [1, 0],
    [99, 0],
    [100, 0],
    [101, 100],
    [250, 200],
    [700, 600],
    [730, 700],
  ])('killed after quote %i goes on from %i and writes nothing twice', async (quote, resumedAt) => {
    const { progress } = await expectWhole(await killAt(quote), resumedAt);
    expect(progress).toHaveLength(730 - resumedAt);
    expect(progress[0]?.message).toBe(`${resumedAt + 1} of 730 quotes`);
  });

  it('killed between the file and the checkpoint goes on from the checkpoint before', async () => {
    const checkpoints = await killed((event, quotes) => event.kind === 'checkpoint' && quotes === 300);
    expect(checkpoints).toHaveLength(3);
    await expectWhole(checkpoints[1], 200);
  });

  it('killed again and again still ends with the same file', async () => {
    let last: unknown = null;
    for (const quotes of [150, 220, 30, 101, 199]) last = await killAt(quotes, last);
    await expectWhole(last, 500);
  });

  it('finds half a line after its checkpoint, and cuts it off', async () => {
    const last = await killAt(250);
    await truncate(job.outputFile, (await stat(job.outputFile)).size - 7);
    await expectWhole(last, 200);
  });

  it('finds nothing after its checkpoint', async () => {
    const last = await killAt(250);
    await truncate(job.outputFile, last.bytes);
    await expectWhole(last, 200);
  });

  it('finds more after its checkpoint than it will write itself', async () => {
    const last = await killAt(250);
    await appendFile(job.outputFile, '{"index":-1}\n'.repeat(50_000));
    await expectWhole(last, 200);
  });

  it.each([
    ['is missing', () => rm(job.outputFile)],
    ['is shorter', (bytes: number) => truncate(job.outputFile, bytes - 1)],
    ['is empty', () => truncate(job.outputFile, 0)],
    ['is another', (bytes: number) => writeFile(job.outputFile, 'x'.repeat(bytes + 100))],
  ])('begins anew when the file %s, as on another host', async (_name, spoil) => {
    const last = await killAt(250);
    await spoil(last.bytes);
    const { logs } = await expectWhole(last, 0);
    expect(logs).toEqual([
      { level: 'warn', message: 'begins anew: the output of the former attempt is not on this host' },
    ]);
  });

  it.each([
    ['of other quotes', (last: object) => ({ ...last, input: '0'.repeat(64) })],
    ['of another version', (last: object) => ({ ...last, version: 0 })],
    ['that is none', () => 'quote 200'],
  ])('begins anew with a checkpoint %s', async (_name, spoil) => {
    await expectWhole(spoil(await killAt(250)), 0);
  });

  it('judges years by the year in which the batch began', async () => {
    const last = await killAt(250);
    const { result } = await job.complete({ file: FILE }, { lastCheckpoint: { ...last, currentYear: 2018 } });
    expect(result.resumedAt).toBe(200);
    expect(result.faults.year_in_future).toBe(67);
  });
});
