import syllable from 'syllable';

/** The values of a text that the Flesch formula needs. */
export interface TextMeasures {
  words: number;
  sentences: number;
  syllables: number;
}

/** Counts words, sentences and syllables of normalised English text; all 0 when it has no words. */
export function measure(text: string): TextMeasures {
  const words = text.match(WORD) ?? [];
  if (words.length === 0) return { words: 0, sentences: 0, syllables: 0 };
  // A word without vowels or Latin letters ("60", "Ni!") is still said aloud.
  const syllables = words.reduce((sum, word) => sum + Math.max(1, syllable(word)), 0);
  return { words: words.length, sentences: countSentences(text), syllables };
}

/**
 * Flesch reading ease, to one decimal: about 100 is very easy, below 30 very hard, and short plain lines may pass 120.
 * Null for a text without words. Source: R. Flesch, "A new readability yardstick", J. Applied Psychology 32 (1948).
 */
export function readingEase({ words, sentences, syllables }: TextMeasures): number | null {
  if (words === 0) return null;
  return Math.round((206.835 - 1.015 * (words / sentences) - 84.6 * (syllables / words)) * 10) / 10;
}

const WORD = /[\p{L}\p{M}\p{N}]+(?:['’-][\p{L}\p{M}\p{N}]+)*/gu;
const SENTENCE_END = /[.!?…]+["')\]]*(?= |$)/gu;
const ABBREVIATION = /(?:^|[ "'(])(?:Mrs?|Ms|Dr|St|Jr|Sr|Prof|[Vv]s|(?!I$)\p{Lu}(?:\.\p{Lu})*)$/u;
const LETTER_OR_DIGIT = /[\p{L}\p{N}]/u;

function countSentences(text: string): number {
  let sentences = 0;
  let lastEnd = 0;
  for (const end of text.matchAll(SENTENCE_END)) {
    const sentence = text.slice(lastEnd, end.index);
    const rest = text.slice(end.index + end[0].length).trimStart();
    const goesOn = end[0] === '.' && rest !== '' && ABBREVIATION.test(sentence);
    if (goesOn || /^\p{Ll}/u.test(rest) || !LETTER_OR_DIGIT.test(sentence)) continue;
    sentences += 1;
    lastEnd = end.index + end[0].length;
  }
  return sentences + (LETTER_OR_DIGIT.test(text.slice(lastEnd)) ? 1 : 0);
}
