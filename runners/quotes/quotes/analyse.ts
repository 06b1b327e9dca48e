import { DuplicateFinder, type Match } from './duplicates';
import type { Quote } from './job';
import { isCensored, lacksQuotationMark, normalise } from './normalise';
import { measure, readingEase, type TextMeasures } from './reading-ease';
import { YearCheck, type YearFault } from './years';

export type Fault = YearFault | 'movie_missing' | 'text_missing' | 'quotation_mark_missing' | 'censored';

/** One line of the output. Indexes refer to the source, from 0. */
export interface Line {
  index: number;
  original: string;
  normalised: string;
  movie: string | null;
  year: number | null;
  words: number;
  readingEase: number | null;
  /** The first quote with the same words. */
  duplicateOf?: number;
  /** The earlier quote most like it, and how much: share of common trigrams, 0.65 to 1. */
  nearDuplicateOf?: number;
  similarity?: number;
  faults: Fault[];
}

export interface Finding {
  line: Line;
  measures: TextMeasures;
}

/**
 * The findings for each quote from `start` to before `end`, in order. Depends only on its arguments, so an attempt that
 * continues after a killed one finds the same.
 */
export function* analyse(
  quotes: readonly Quote[],
  start: number,
  end: number,
  currentYear: number,
): Generator<Finding> {
  const finder = new DuplicateFinder(quotes.slice(0, end).map((quote) => quote.quote));
  const years = new YearCheck(quotes, currentYear);
  finder.skipTo(start);
  for (const [offset, quote] of quotes.slice(start, end).entries()) {
    yield describe(quote, start + offset, finder.next(), years.fault(quote));
  }
}

function describe(quote: Quote, index: number, match: Match, yearFault: YearFault | null): Finding {
  const normalised = normalise(quote.quote);
  const movie = normalise(quote.movie ?? '');
  const measures = measure(normalised);
  const faults: Fault[] = [];
  if (yearFault !== null) faults.push(yearFault);
  if (movie === '') faults.push('movie_missing');
  if (measures.words === 0) faults.push('text_missing');
  if (lacksQuotationMark(normalised)) faults.push('quotation_mark_missing');
  if (isCensored(normalised)) faults.push('censored');
  const line: Line = {
    index,
    original: quote.quote,
    normalised,
    movie: movie === '' ? null : movie,
    year: quote.year,
    words: measures.words,
    readingEase: readingEase(measures),
    ...(match !== null && 'similarity' in match
      ? { ...match, similarity: Math.round(match.similarity * 100) / 100 }
      : match),
    faults,
  };
  return { line, measures };
}
