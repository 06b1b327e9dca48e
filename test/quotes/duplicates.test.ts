import fc from 'fast-check';
import quotes from 'popular-movie-quotes/data/data.json';
import { DuplicateFinder, type Match, NEAR_DUPLICATE_SIMILARITY } from '../../runners/quotes/quotes/duplicates';
import { fold } from '../../runners/quotes/quotes/normalise';

const texts = quotes.map(({ quote }) => quote);

function matches(list: readonly string[], start = 0): Match[] {
  const finder = new DuplicateFinder(list);
  finder.skipTo(start);
  return list.slice(start).map(() => finder.next());
}

/** The same question answered by comparing every pair. */
function slowMatches(list: readonly string[]): Match[] {
  const keys = list.map(fold);
  const sets = keys.map((key) => {
    const padded = key === '' ? '' : `  ${key} `;
    return new Set(Array.from({ length: Math.max(0, padded.length - 2) }, (_, at) => padded.slice(at, at + 3)));
  });
  return keys.map((key, index) => {
    if (key === '') return null;
    if (keys.indexOf(key) < index) return { duplicateOf: keys.indexOf(key) };
    let best: Match = null;
    let bestSimilarity = 0;
    for (let other = 0; other < index; other += 1) {
      const [own, others] = [sets[index] ?? new Set<string>(), sets[other] ?? new Set<string>()];
      const common = [...own].filter((trigram) => others.has(trigram)).length;
      const similarity = common / (own.size + others.size - common);
      if (similarity < NEAR_DUPLICATE_SIMILARITY || similarity <= bestSimilarity) continue;
      bestSimilarity = similarity;
      best = { nearDuplicateOf: other, similarity };
    }
    return best;
  });
}

describe('DuplicateFinder', () => {
  const found = matches(texts);

  it.each([
    [64, 63, 'May the force be with you'],
    [76, 0, "Do, or do not. There is no 'try'."],
    [136, 92, 'Hasta la vista, baby.'],
    [253, 237, 'I have nipples Greg. Could you milk me?'],
    [689, 672, 'Is it just me, or is it getting crazier out there?’'],
  ])('quote %i is a duplicate of %i: %s', (index, first, text) => {
    expect(texts[index]).toBe(text);
    expect(found[index]).toEqual({ duplicateOf: first });
  });

  it.each([
    [44, 42, "I'm gonna make him an offer he can't refuse"],
    [149, 143, 'You’re killin’ me, Smalls.'],
    [277, 262, 'Even the smallest person can change the course of history.'],
    [433, 423, 'You either die a hero or live long enough to see yourself become the villian.'],
    [482, 481, 'Winter is coming!'],
  ])('quote %i is nearly a duplicate of %i: %s', (index, first, text) => {
    expect(texts[index]).toBe(text);
    expect(found[index]).toMatchObject({ nearDuplicateOf: first });
  });

  it('does not call quotes alike that only share a phrase', () => {
    expect(texts[661]).toBe('That does put a smile on my face.');
    expect(found[661]).toBeNull();
    expect(found.filter((match) => match !== null && 'duplicateOf' in match)).toHaveLength(23);
    expect(found.filter((match) => match !== null && 'similarity' in match)).toHaveLength(16);
  });

  it('finds exactly what a comparison of all pairs finds in the real quotes', () => {
    expect(found).toEqual(slowMatches(texts));
  });

  it('finds exactly what a comparison of all pairs finds in made texts', () => {
    const word = fc.constantFrom('go', 'gone', 'going', 'the', 'force', 'forces', 'be', 'with', 'you', '!', '');
    const list = fc.array(
      fc.array(word, { maxLength: 8 }).map((words) => words.join(' ')),
      { maxLength: 25 },
    );
    fc.assert(
      fc.property(list, (made) => expect(matches(made)).toEqual(slowMatches(made))),
      { numRuns: 500 },
    );
  });

  it('says the same of a slice as of the whole', () => {
    for (const start of [1, 100, 482, 729]) expect(matches(texts, start)).toEqual(found.slice(start));
  });

  it('matches no text without letters', () => {
    expect(matches(['…', '…', '?!', ''])).toEqual([null, null, null, null]);
  });
});
