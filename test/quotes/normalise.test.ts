import fc from 'fast-check';
import quotes from 'popular-movie-quotes/data/data.json';
import { fold, isCensored, lacksQuotationMark, normalise } from '../../runners/quotes/quotes/normalise';

/** What the rules are about, far more often than chance would bring it. */
const typographic = fc.constantFrom(
  ...[
    '.',
    '…',
    '!',
    '?',
    ',',
    ';',
    ':',
    '-',
    '--',
    '–',
    '—',
    '―',
    "'",
    '’',
    '‘',
    '"',
    '“',
    '”',
    '`',
    "''",
    ' ',
    '  ',
    '\u00a0',
    '\t',
    '\n',
  ],
  ...[
    '\u200b',
    '\ufeff',
    '\u00ad',
    '\u0007',
    '\u202e',
    '/',
    '\\',
    '(',
    ')',
    '*',
    'a',
    'B',
    't',
    'er',
    'é',
    'e\u0301',
    '\u0301',
    '7',
    '\ud800',
    '\udc00',
    '語',
    '🎬',
  ],
);
const text = fc.oneof(
  fc.array(typographic, { maxLength: 30 }).map((parts) => parts.join('')),
  fc.string({ unit: 'grapheme' }),
  fc.string({ unit: 'binary' }),
);

describe('normalise', () => {
  it.each([
    ['It’s just a flesh wound.', "It's just a flesh wound."],
    [
      'Nobody panics when things go “according to plan”. Even if the plan is horrifying!',
      'Nobody panics when things go "according to plan". Even if the plan is horrifying!',
    ],
    ['That’s no moon…it’s a space station', "That's no moon… it's a space station"],
    ["By Grabthar's hammer...what a savings.", "By Grabthar's hammer… what a savings."],
    ['I promise you ... No matter where we will be', 'I promise you… No matter where we will be'],
    ['...And I also know', '…And I also know'],
    ['As you wish. . .', 'As you wish…'],
    ['I feel the need - the need for speed!.', 'I feel the need — the need for speed!'],
    [' I feel the need!!!! The need for speed!!!!', 'I feel the need! The need for speed!'],
    ['No thinking -- that comes later.', 'No thinking — that comes later.'],
    ['You get what you f***ing deserve !!', 'You get what you f***ing deserve!'],
    ["What's in the box?!", "What's in the box?!"],
    ['But I —', 'But I —'],
    ['part of him —and that', 'part of him — and that'],
    ["why you can/'t achieve it.", "why you can't achieve it."],
    ['Is it just me, or is it getting crazier out there?’', 'Is it just me, or is it getting crazier out there?'],
    ["It's a chimichanga.Toast a tortilla", "It's a chimichanga. Toast a tortilla"],
    ["what a man's like,take a good look", "what a man's like, take a good look"],
    ['You only live twice:Once when you are born', 'You only live twice: Once when you are born'],
    ['Some people deserve to have their faith rewarded    ', 'Some people deserve to have their faith rewarded'],
    ['I’m funny how?  Funny, like, I’m a clown?', "I'm funny how? Funny, like, I'm a clown?"],
    ['e\u0301te\u0301\u200b', 'été'],
    ['a lone \ud800 surrogate', 'a lone \ufffd surrogate'],
  ])('%j becomes %j', (original, expected) => {
    expect(normalise(original)).toBe(expected);
  });

  it.each([
    "Here's Johnny!",
    "You're killin' me, Smalls.",
    'Chased by 1/3 of a B.L.T.!',
    'Yippie-ki-yay, motherf—er!',
    'He paid $1,000.50 at 10:30.',
    'The years 1939–1945.',
    'It is 5" wide.',
    "Stop trying to make 'fetch' happen.",
  ])('leaves %j alone', (original) => {
    expect(normalise(original)).toBe(original);
  });

  it('is idempotent', () => {
    fc.assert(
      fc.property(text, (original) => expect(normalise(normalise(original))).toBe(normalise(original))),
      { numRuns: 2000 },
    );
  });

  it('never changes, adds or drops a letter or digit', () => {
    const letters = (value: string) =>
      value
        .toWellFormed()
        .normalize('NFD')
        .replace(/[^\p{L}\p{N}]/gu, '')
        .replaceAll('ʼ', '');
    fc.assert(
      fc.property(text, (original) => expect(letters(normalise(original))).toBe(letters(original))),
      { numRuns: 2000 },
    );
  });

  it('is well-formed NFC with single, inner spaces', () => {
    fc.assert(
      fc.property(text, (original) => {
        const normalised = normalise(original);
        expect(normalised.isWellFormed()).toBe(true);
        expect(normalised.normalize('NFC')).toBe(normalised);
        expect(normalised).not.toMatch(/^\s|\s$|\s\s|[\t\n\u00a0\u200b‘’“”]/);
      }),
    );
  });

  it('gets through long hostile texts within the deadline of a test', () => {
    for (const part of [' ', '.', '. ', '!?', "'", '"', '-', ' - ', '—', 'a…', "a'", '\\']) {
      expect(normalise(part.repeat(10_000)).length).toBeLessThanOrEqual(60_000);
    }
  });

  it('keeps the words of every real quote', () => {
    for (const { quote } of quotes)
      expect(fold(normalise(quote)).replaceAll(' ', '')).toBe(fold(quote).replaceAll(' ', ''));
  });
});

describe('fold', () => {
  it('leaves letters and digits only', () => {
    expect(fold('Léon & “The Professional”: part—2…')).toBe('leon and the professional part 2');
    expect(fold("Don't you?!")).toBe('dont you');
    expect(fold('…?!')).toBe('');
  });
});

describe('faults in the text', () => {
  it.each(["Play it, Sam. Play 'As Time Goes By.", 'He said "go.'])('%j lacks a quotation mark', (quote) => {
    expect(lacksQuotationMark(quote)).toBe(true);
  });

  it.each([
    "You're killin' me, Smalls.",
    "First you hate 'em.",
    "Stop trying to make 'fetch' happen.",
    'He said "go".',
    '7" of steel',
    "'Twas the summer of '69.",
  ])('%j lacks none', (quote) => {
    expect(lacksQuotationMark(quote)).toBe(false);
  });

  it('finds the censored quotes, and no others', () => {
    const censored = quotes.filter(({ quote }) => isCensored(normalise(quote))).map(({ movie }) => movie);
    expect(censored).toEqual(['Die Hard', 'Sideways', 'The Martian', 'Shaft', 'Joker']);
  });
});
