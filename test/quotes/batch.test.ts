import { statSync } from 'node:fs';
import { appendFile, mkdtemp, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { batchQuoteProcess, type BatchArguments, type BatchResult } from '../../runners/quotes/quotes/job';
import { quoteProcessor } from '../../runners/quotes/quotes/process';
import { type AttemptHooks, JOB_ID, type RecordedAttempt, startAttempt } from './attempt';

const quotesDirectory = path.dirname(require.resolve('popular-movie-quotes/data/data.json'));
const FILE = 'data.json';

let outputDirectory: string;
let outputFile: string;
beforeEach(async () => {
  outputDirectory = await mkdtemp(path.join(tmpdir(), 'quotes-'));
  outputFile = path.join(outputDirectory, `${JOB_ID}.ndjson`);
});
afterEach(() => rm(outputDirectory, { recursive: true }));

function argumentsOf(given: object): BatchArguments {
  const schema = batchQuoteProcess.arguments;
  if (schema === undefined) throw new Error('the job has no arguments');
  return schema.parse(given);
}

async function run(given: object, hooks: AttemptHooks = {}): Promise<RecordedAttempt & { result: BatchResult }> {
  const attempt = startAttempt(hooks);
  const result = await quoteProcessor({ quotesDirectory, outputDirectory })(argumentsOf(given), attempt.job);
  return { ...attempt, result };
}

async function lines(): Promise<Record<string, unknown>[]> {
  const text = await readFile(outputFile, 'utf8');
  return text.trimEnd().split('\n').map((line) => JSON.parse(line) as Record<string, unknown>);
}

describe('a batch over a file', () => {
  it('writes a line for each of the 730 quotes and counts them', async () => {
    const { result } = await run({ file: FILE });
    const written = await lines();
    expect(batchQuoteProcess.result?.parse(result)).toEqual(result);
    expect(result).toMatchObject({ processed: 730, duplicates: 23, nearDuplicates: 16, yearsDoubted: 33, resumedAt: 0, file: outputFile });
    expect(result.faults).toEqual({ year_before_sound_film: 1, year_differs: 32, quotation_mark_missing: 1, censored: 5 });
    expect(result.bytes).toBe((await stat(outputFile)).size);
    expect(written.map(({ index }) => index)).toEqual(Array.from({ length: 730 }, (_, index) => index));
    expect(result.words).toBe(written.reduce((sum, line) => sum + Number(line.words), 0));
    expect(result.meanReadingEase).toBeCloseTo(written.reduce((sum, line) => sum + Number(line.readingEase), 0) / 730, 1);
  });

  it('says of each quote what it found', async () => {
    await run({ file: FILE });
    const written = await lines();
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
    expect(written[149]).toMatchObject({ normalised: "You're killin' me, Smalls.", nearDuplicateOf: 143, similarity: 0.81 });
  });

  it('reports progress for each quote and a checkpoint for each hundred, when its lines are in the file', async () => {
    const sizes: number[] = [];
    const { progress, checkpoints } = await run({ file: FILE }, { onCheckpoint: () => sizes.push(statSync(outputFile).size) });
    expect(progress).toHaveLength(730);
    expect(progress[72]).toEqual({ percent: 10, message: '73 of 730 quotes' });
    expect(progress.at(-1)).toEqual({ percent: 100, message: '730 of 730 quotes' });
    expect(checkpoints).toMatchObject([100, 200, 300, 400, 500, 600, 700].map((processed, index) => ({ bytes: sizes[index], tally: { processed } })));
  });

  it('says of a slice what it says of it in the whole', async () => {
    await run({ file: FILE });
    const whole = await lines();
    const { result } = await run({ file: FILE, offset: 470, count: 150 });
    expect(result.processed).toBe(150);
    expect(await lines()).toEqual(whole.slice(470, 620));
    await run({ file: FILE, offset: 700, count: 5000 });
    expect(await lines()).toEqual(whole.slice(700));
  });

  it('ends at once, with the reason, when its signal is aborted', async () => {
    const attempt = startAttempt({ onProgress: (calls) => (calls === 50 ? attempt.stop.abort(new Error('cancelled')) : undefined) });
    const running = quoteProcessor({ quotesDirectory, outputDirectory })(argumentsOf({ file: FILE }), attempt.job);
    await expect(running).rejects.toThrow('cancelled');
    expect(await lines()).toHaveLength(50);
  });

  it('is woken by its signal out of a pause', async () => {
    const attempt = startAttempt({ onProgress: () => setImmediate(() => attempt.stop.abort()) });
    const running = quoteProcessor({ quotesDirectory, outputDirectory })(argumentsOf({ file: FILE, paceMs: 60_000 }), attempt.job);
    await expect(running).rejects.toThrow('aborted');
  });
});

describe('quotes in the arguments', () => {
  it('may be texts or objects, and are judged as they are', async () => {
    const { result } = await run({
      quotes: ['I’ll be back.', { quote: "I'll be back!", movie: 'The Terminator', year: 1984 }, { quote: '…', movie: ' ', year: 3000 }],
    });
    expect(await lines()).toEqual([
      { index: 0, original: 'I’ll be back.', normalised: "I'll be back.", movie: null, year: null, words: 3, readingEase: 119.2, faults: ['year_missing', 'movie_missing'] },
      { index: 1, original: "I'll be back!", normalised: "I'll be back!", movie: 'The Terminator', year: 1984, words: 3, readingEase: 119.2, duplicateOf: 0, faults: [] },
      { index: 2, original: '…', normalised: '…', movie: null, year: 3000, words: 0, readingEase: null, faults: ['year_in_future', 'movie_missing', 'text_missing'] },
    ]);
    expect(result).toMatchObject({ processed: 3, duplicates: 1, yearsDoubted: 2, words: 6, meanReadingEase: 119.2 });
  });

  it('have no mean reading ease without words', async () => {
    expect((await run({ quotes: ['?!'] })).result.meanReadingEase).toBeNull();
  });

  it.each([
    [{}],
    [{ quotes: ['a'], file: FILE }],
    [{ quotes: [] }],
    [{ file: FILE, offset: -1 }],
    [{ file: FILE, count: 0 }],
    [{ file: FILE, cuont: 3 }],
    [{ quotes: [{ quote: 'a', year: 'x' }] }],
    [{ quotes: ['a'.repeat(10_001)] }],
  ])('are refused when wrong: %j', (given) => {
    expect(() => argumentsOf(given)).toThrow();
  });
});

describe('an attempt after a killed one', () => {
  class Killed extends Error {}
  let whole: { text: string; result: BatchResult };
  beforeAll(async () => {
    const directory = await mkdtemp(path.join(tmpdir(), 'quotes-'));
    const { job } = startAttempt();
    const result = await quoteProcessor({ quotesDirectory, outputDirectory: directory })(argumentsOf({ file: FILE }), job);
    whole = { text: await readFile(path.join(directory, `${JOB_ID}.ndjson`), 'utf8'), result };
    await rm(directory, { recursive: true });
  });

  /** Breaks an attempt off and returns the last checkpoint that got out. */
  async function killedAttempt(hooks: AttemptHooks): Promise<unknown> {
    const attempt = startAttempt(hooks);
    const running = quoteProcessor({ quotesDirectory, outputDirectory })(argumentsOf({ file: FILE }), attempt.job);
    await expect(running).rejects.toThrow(Killed);
    return attempt.checkpoints.at(-1) ?? null;
  }

  function killAt(quote: number, lastCheckpoint: unknown = null): Promise<unknown> {
    const onProgress = (calls: number) => {
      if (calls === quote) throw new Killed();
    };
    return killedAttempt({ lastCheckpoint, onProgress });
  }

  async function expectWhole(lastCheckpoint: unknown, resumedAt: number): Promise<RecordedAttempt> {
    const attempt = await run({ file: FILE }, { lastCheckpoint });
    expect(attempt.result).toEqual({ ...whole.result, resumedAt, file: outputFile });
    expect(await readFile(outputFile, 'utf8')).toBe(whole.text);
    return attempt;
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
    const attempt = await expectWhole(await killAt(quote), resumedAt);
    expect(attempt.progress).toHaveLength(730 - resumedAt);
    expect(attempt.progress[0]?.message).toBe(`${resumedAt + 1} of 730 quotes`);
  });

  it('killed between the file and the checkpoint goes on from the checkpoint before', async () => {
    const last = await killedAttempt({
      onCheckpoint: (value) => {
        if ((value as { tally: { processed: number } }).tally.processed === 300) throw new Killed();
      },
    });
    await expectWhole(last, 200);
  });

  it('killed again and again still ends with the same file', async () => {
    let last: unknown = null;
    for (const calls of [150, 220, 30, 101, 199]) last = (await killAt(calls, last)) ?? last;
    await expectWhole(last, 500);
  });

  it('finds half a line after its checkpoint, and cuts it off', async () => {
    const last = await killAt(250);
    await truncate(outputFile, (await stat(outputFile)).size - 7);
    await expectWhole(last, 200);
  });

  it('finds nothing after its checkpoint', async () => {
    const last = (await killAt(250)) as { bytes: number };
    await truncate(outputFile, last.bytes);
    await expectWhole(last, 200);
  });

  it('finds more after its checkpoint than it will write itself', async () => {
    const last = await killAt(250);
    await appendFile(outputFile, '{"index":-1}\n'.repeat(50_000));
    await expectWhole(last, 200);
  });

  it.each([
    ['is missing', () => rm(outputFile)],
    ['is shorter', (bytes: number) => truncate(outputFile, bytes - 1)],
    ['is empty', () => truncate(outputFile, 0)],
    ['is another', (bytes: number) => writeFile(outputFile, 'x'.repeat(bytes + 100))],
  ])('begins anew when the file %s, as on another host', async (_name, spoil) => {
    const last = (await killAt(250)) as { bytes: number };
    await spoil(last.bytes);
    const { logs } = await expectWhole(last, 0);
    expect(logs).toEqual(['begins anew: the output of the former attempt is not on this host']);
  });

  it.each([
    ['of other quotes', (last: object) => ({ ...last, input: '0'.repeat(64) })],
    ['of another version', (last: object) => ({ ...last, version: 0 })],
    ['that is none', () => 'quote 200'],
  ])('begins anew with a checkpoint %s', async (_name, spoil) => {
    await expectWhole(spoil((await killAt(250)) as object), 0);
  });

  it('judges years by the year in which the batch began', async () => {
    const last = (await killAt(250)) as object;
    const { result } = await run({ file: FILE }, { lastCheckpoint: { ...last, currentYear: 2018 } });
    expect(result.resumedAt).toBe(200);
    expect(result.faults.year_in_future).toBe(67);
  });
});
