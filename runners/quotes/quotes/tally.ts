import type { Finding } from './analyse';
import type { Tally } from './job';

export const EMPTY_TALLY: Tally = {
  processed: 0,
  duplicates: 0,
  nearDuplicates: 0,
  yearsDoubted: 0,
  words: 0,
  sentences: 0,
  syllables: 0,
  readable: 0,
  readingEaseSum: 0,
  faults: {},
};

/** The tally with one more quote counted. */
export function addFinding(tally: Tally, { line, measures }: Finding): Tally {
  const faults = { ...tally.faults };
  for (const fault of line.faults) faults[fault] = (faults[fault] ?? 0) + 1;
  return {
    processed: tally.processed + 1,
    duplicates: tally.duplicates + (line.duplicateOf === undefined ? 0 : 1),
    nearDuplicates: tally.nearDuplicates + (line.nearDuplicateOf === undefined ? 0 : 1),
    yearsDoubted: tally.yearsDoubted + (line.faults.some((fault) => fault.startsWith('year_')) ? 1 : 0),
    words: tally.words + measures.words,
    sentences: tally.sentences + measures.sentences,
    syllables: tally.syllables + measures.syllables,
    readable: tally.readable + (line.readingEase === null ? 0 : 1),
    readingEaseSum: tally.readingEaseSum + (line.readingEase ?? 0),
    faults,
  };
}

/** To one decimal; null when no quote has a reading ease. */
export function meanReadingEase({ readable, readingEaseSum }: Tally): number | null {
  return readable === 0 ? null : Math.round((readingEaseSum / readable) * 10) / 10;
}
