import quotes from 'popular-movie-quotes/data/data.json';
import { YearCheck } from '../../runners/quotes/quotes/years';

function faults(rows: [movie: string | null, year: number | null, type?: string][]) {
  const list = rows.map(([movie, year, type = 'movie']) => ({ movie, year, type }));
  const check = new YearCheck(list, 2020);
  return list.map((row) => check.fault(row));
}

describe('YearCheck', () => {
  it('doubts years before the first sound film and after this year', () => {
    expect(
      faults([
        ['A', 1926],
        ['B', 1927],
        ['C', 2020],
        ['D', 2021],
        ['E', null],
      ]),
    ).toEqual(['year_before_sound_film', null, null, 'year_in_future', 'year_missing']);
  });

  it('doubts the unusual year of a film, however its title is written', () => {
    expect(
      faults([
        ['The Matrix', 1999],
        ['Matrix', 1999],
        ['Matrix!', 1999],
        ['the  MATRIX', 1998],
      ]),
    ).toEqual([null, null, null, 'year_differs']);
  });

  it('doubts all years of a film when too few quotes agree', () => {
    expect(
      faults([
        ['Auntie Mame', 1958],
        ['Auntie Mame', 2005],
      ]),
    ).toEqual(['year_differs', 'year_differs']);
    expect(
      faults([
        ['A', 1991],
        ['A', 1998],
        ['A', 1998],
      ]),
    ).toEqual(Array(3).fill('year_differs'));
    expect(
      faults([
        ['A', 1991],
        ['A', 1991],
        ['A', 1998],
        ['A', 1998],
        ['A', 1991],
        ['A', 2000],
      ]),
    ).toEqual(Array(6).fill('year_differs'));
  });

  it('gives implausible years no vote', () => {
    expect(
      faults([
        ['A', 1890],
        ['A', 1890],
        ['A', 1980],
      ]),
    ).toEqual(['year_before_sound_film', 'year_before_sound_film', null]);
  });

  it('lets series run for years, and does not mix quotes without a film', () => {
    expect(
      faults([
        ['Dark', 2017, 'tv'],
        ['Dark', 2019, 'tv'],
        [null, 1950],
        [null, 1960],
        ['…', 1950],
        ['!', 1960],
      ]),
    ).toEqual(Array(6).fill(null));
  });

  it('finds the errors of the real quotes', () => {
    const rows = quotes.map(({ movie, year, type }) => ({ movie, year, type }));
    const check = new YearCheck(rows, 2020);
    const doubted = rows.flatMap((row, index) =>
      check.fault(row) === null ? [] : [`${index} ${row.year} ${row.movie}: ${check.fault(row)}`],
    );
    expect(doubted).toHaveLength(33);
    expect(doubted).toContain('0 1890 Star Wars: Episode V - The Empire Strikes Back: year_before_sound_film');
    expect(doubted).toContain('22 1958 Back to the future: year_differs');
    expect(doubted).toContain('309 2003 The Lord of the Rings: The Two Towers: year_differs');
    expect(doubted.join()).not.toContain('2002 The Lord of the Rings: The Two Towers');
  });
});
