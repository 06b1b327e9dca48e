import type { Control, HandlerEvent } from '@baton/runner-sdk/testing';
import { statSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import { BatchJob, FILE } from './batch-attempt';

let job: BatchJob;
beforeEach(async () => {
  job = await BatchJob.create();
});
afterEach(() => job.remove());

describe('a batch over a file', () => {
  it('writes a line for each of the 730 quotes and counts them', async () => {
    const { result } = await job.complete({ file: FILE });
    const written = await job.lines();
    expect(result).toMatchObject({
      processed: 730,
      duplicates: 23,
      nearDuplicates: 16,
      yearsDoubted: 33,
      resumedAt: 0,
      file: job.outputFile,
    });
    expect(result.faults).toEqual({
      year_before_sound_film: 1,
      year_differs: 32,
      quotation_mark_missing: 1,
      censored: 5,
    });
    expect(result.bytes).toBe((await stat(job.outputFile)).size);
    expect(written.map(({ index }) => index)).toEqual(Array.from({ length: 730 }, (_, index) => index));
    expect(result.words).toBe(written.reduce((sum, line) => sum + Number(line.words), 0));
    expect(result.meanReadingEase).toBeCloseTo(
      written.reduce((sum, line) => sum + Number(line.readingEase), 0) / 730,
      1,
    );
  });

  it('says of each quote what it found', async () => {
    await job.complete({ file: FILE });
    const written = await job.lines();
    expect(written[0]).toEqual({
      index: 0,
      original: 'Do, or do not. There is no try.',
      normalised: 'Do, or do not. There is no try.',
      movie: 'Star Wars: Episode V — The Empire Strikes Back',
      year: 1890,
      words: 8,
      readingEase: 118.2,
      faults: ['year_before_sound_film'],
    });
    expect(written[97]).toEqual({
      index: 97,
      original: ' I feel the need!!!! The need for speed!!!!',
      normalised: 'I feel the need! The need for speed!',
      movie: 'Top Gun',
      year: 1986,
      words: 8,
      readingEase: 118.2,
      duplicateOf: 96,
      faults: [],
    });
    expect(written[149]).toMatchObject({
      normalised: "You're killin' me, Smalls.",
      nearDuplicateOf: 143,
      similarity: 0.81,
    });
  });

  it('reports progress for each quote and a checkpoint for each hundred, when its lines are in the file', async () => {
    const sizes: number[] = [];
    const { progress, checkpoints } = await job.complete(
      { file: FILE },
      { onEvent: ({ kind }) => void (kind === 'checkpoint' && sizes.push(statSync(job.outputFile).size)) },
    );
    expect(progress).toHaveLength(730);
    expect(progress[72]).toEqual({ percent: 10, message: '73 of 730 quotes' });
    expect(progress.at(-1)).toEqual({ percent: 100, message: '730 of 730 quotes' });
    expect(checkpoints).toMatchObject(
      [100, 200, 300, 400, 500, 600, 700].map((processed, index) => ({ bytes: sizes[index], tally: { processed } })),
    );
  });

  it('says of a slice what it says of it in the whole', async () => {
    await job.complete({ file: FILE });
    const whole = await job.lines();
    const { result } = await job.complete({ file: FILE, offset: 470, count: 150 });
    expect(result.processed).toBe(150);
    expect(await job.lines()).toEqual(whole.slice(470, 620));
    await job.complete({ file: FILE, offset: 700, count: 5000 });
    expect(await job.lines()).toEqual(whole.slice(700));
  });

  it('ends at once when its signal is aborted', async () => {
    const ended = await job.attempt(
      { file: FILE },
      {
        onEvent: (event, control) =>
          void (event.kind === 'progress' && event.message === '50 of 730 quotes' && control.stopRunner()),
      },
    );
    expect(ended).toMatchObject({ outcome: 'released', ignoredAbort: false });
    expect(await job.lines()).toHaveLength(50);
  });

  it('is woken by its signal out of a pause', async () => {
    const wake = (_event: HandlerEvent, control: Control) => void setImmediate(control.expireTimeout);
    const running = job.start({ file: FILE, paceMs: 60_000 }, { onEvent: wake });
    expect(await running.ended).toMatchObject({ outcome: 'failed', ignoredAbort: false, error: { code: 'timeout' } });
  });
});

describe('quotes in the arguments', () => {
  it('may be texts or objects, and are judged as they are', async () => {
    const { result } = await job.complete({
      quotes: [
        'I’ll be back.',
        { quote: "I'll be back!", movie: 'The Terminator', year: 1984 },
        { quote: '…', movie: ' ', year: 3000 },
      ],
    });
    expect(await job.lines()).toEqual([
      {
        index: 0,
        original: 'I’ll be back.',
        normalised: "I'll be back.",
        movie: null,
        year: null,
        words: 3,
        readingEase: 119.2,
        faults: ['year_missing', 'movie_missing'],
      },
      {
        index: 1,
        original: "I'll be back!",
        normalised: "I'll be back!",
        movie: 'The Terminator',
        year: 1984,
        words: 3,
        readingEase: 119.2,
        duplicateOf: 0,
        faults: [],
      },
      {
        index: 2,
        original: '…',
        normalised: '…',
        movie: null,
        year: 3000,
        words: 0,
        readingEase: null,
        faults: ['year_in_future', 'movie_missing', 'text_missing'],
      },
    ]);
    expect(result).toMatchObject({ processed: 3, duplicates: 1, yearsDoubted: 2, words: 6, meanReadingEase: 119.2 });
  });

  it('have no mean reading ease without words', async () => {
    expect((await job.complete({ quotes: ['?!'] })).result.meanReadingEase).toBeNull();
  });

  it.each([
    [{}],
    [{ quotes: ['a'], file: FILE }],
    [{ quotes: [] }],
    [{ file: FILE, offset: -1 }],
    [{ file: FILE, count: 0 }],
    [{ file: FILE, cuont: 3 }],
    [{ quotes: [{ quote: 'a', year: 'x' }] }],
  ])('are refused when wrong: %j', async (given) => {
    expect(await job.attempt(given)).toMatchObject({
      outcome: 'failed',
      error: { code: 'invalid_arguments', retryable: false },
    });
  });

  it('are refused when too long', async () => {
    expect((await job.attempt({ quotes: ['a'.repeat(10_000)] })).outcome).toBe('completed');
    expect(await job.attempt({ quotes: ['a'.repeat(10_001)] })).toMatchObject({
      outcome: 'failed',
      error: { code: 'invalid_arguments' },
    });
  });
});
