import fc from 'fast-check';
import { measure, readingEase } from '../../runners/quotes/quotes/reading-ease';

describe('measure', () => {
  it.each([
    ["Here's Johnny!", { words: 2, sentences: 1, syllables: 3 }],
    ['May the Force be with you.', { words: 6, sentences: 1, syllables: 6 }],
    ['You expect me to talk? No, Mr. Bond, I expect you to die!', { words: 13, sentences: 2, syllables: 15 }],
    ['Chased into a hole by a B.L.T. of sorts!', { words: 11, sentences: 1, syllables: 12 }],
    ['We are the Knights who say… Ni!', { words: 7, sentences: 2, syllables: 7 }],
    ['Wait Master, it might be dangerous… you go first.', { words: 9, sentences: 1, syllables: 12 }],
    ['It was I. You know.', { words: 5, sentences: 2, syllables: 5 }],
    ['He said "Go." She went', { words: 5, sentences: 2, syllables: 5 }],
    ['60% of the time', { words: 4, sentences: 1, syllables: 4 }],
    ['Yippie-ki-yay', { words: 1, sentences: 1, syllables: 4 }],
    ['… ?!', { words: 0, sentences: 0, syllables: 0 }],
  ])('%j: %j', (text, expected) => {
    expect(measure(text)).toEqual(expected);
  });

  it('never has sentences without words, nor words without sentences and syllables', () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom('a', 'B', ' ', '.', '!', '…', '"', 'Mr.', '7') }), (text) => {
        const { words, sentences, syllables } = measure(text);
        expect(sentences).toBeLessThanOrEqual(words);
        expect(Math.sign(sentences)).toBe(Math.sign(words));
        expect(syllables).toBeGreaterThanOrEqual(words);
      }),
    );
  });
});

describe('readingEase', () => {
  it('is the Flesch formula to one decimal', () => {
    // 206.835 - 1.015 × 6 - 84.6 × 1
    expect(readingEase({ words: 6, sentences: 1, syllables: 6 })).toBe(116.1);
    // 206.835 - 1.015 × 10 - 84.6 × 2
    expect(readingEase({ words: 20, sentences: 2, syllables: 40 })).toBe(27.5);
  });

  it('is null without words', () => {
    expect(readingEase({ words: 0, sentences: 0, syllables: 0 })).toBeNull();
  });
});
