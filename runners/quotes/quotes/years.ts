import { fold } from './normalise';

/** The Jazz Singer, the first feature film in which anyone speaks. */
export const FIRST_SOUND_FILM_YEAR = 1927;

export type YearFault = 'year_missing' | 'year_before_sound_film' | 'year_in_future' | 'year_differs';

interface Dated {
  movie: string | null;
  year: number | null;
  type: string;
}

/**
 * Checks the years of a list of quotes. If a film is given several years, all its quotes are doubtful except those of
 * its usual year, if it has one. Series are exempt: they run for years.
 */
export class YearCheck {
  private readonly usualYears = new Map<string, number | null>();

  constructor(
    quotes: readonly Dated[],
    private readonly currentYear: number,
  ) {
    const counts = new Map<string, Map<number, number>>();
    for (const quote of quotes) {
      const film = filmOf(quote);
      if (film === null || quote.year === null || this.implausible(quote.year) !== null) continue;
      const years = counts.get(film) ?? new Map<number, number>();
      counts.set(film, years.set(quote.year, (years.get(quote.year) ?? 0) + 1));
    }
    for (const [film, years] of counts) this.usualYears.set(film, usualYear(years));
  }

  fault(quote: Dated): YearFault | null {
    if (quote.year === null) return 'year_missing';
    const implausible = this.implausible(quote.year);
    if (implausible !== null) return implausible;
    const film = filmOf(quote);
    return film === null || this.usualYears.get(film) === quote.year ? null : 'year_differs';
  }

  private implausible(year: number): YearFault | null {
    if (year < FIRST_SOUND_FILM_YEAR) return 'year_before_sound_film';
    return year > this.currentYear ? 'year_in_future' : null;
  }
}

function filmOf({ movie, type }: Dated): string | null {
  if (movie === null || type !== 'movie') return null;
  const title = fold(movie).replace(/^the /, '');
  return title === '' ? null : title;
}

/** The year that at least three quotes give, and more than all other years together; with fewer it would be a guess. */
function usualYear(years: Map<number, number>): number | null {
  const total = [...years.values()].reduce((sum, count) => sum + count, 0);
  for (const [year, count] of years) {
    if (years.size === 1 || (count >= 3 && count * 2 > total)) return year;
  }
  return null;
}
