/**
 * Normalises the typography of one line of text: NFC, straight quotation marks, `…`, spaced ` — `, single spaces, no
 * invisible characters, no stray or repeated punctuation. Words are never changed. `normalise(normalise(text))` equals
 * `normalise(text)`.
 */
export function normalise(text: string): string {
  let current = text.toWellFormed();
  // One rule can create work for another (a removed space brings two full stops together), so rules run until nothing
  // changes.
  for (let pass = 0; pass < MAX_PASSES; pass += 1) {
    const next = RULES.reduce(
      (value, [pattern, replacement]) => value.replace(pattern, replacement),
      current,
    ).normalize('NFC');
    if (next === current) break;
    current = next;
  }
  return current;
}

/**
 * The text reduced to its letters and digits, for comparing: no case, no accents, no punctuation, `&` read as "and".
 * Empty when there is none.
 */
export function fold(text: string): string {
  return text
    .toWellFormed()
    .normalize('NFKD')
    .replace(/[\u0300-\u036f]/g, '')
    .toLowerCase()
    .replaceAll('&', ' and ')
    .replace(/['‘’`´ʼ]/g, '')
    .replace(/[^\p{L}\p{N}\p{M}]+/gu, ' ')
    .trim();
}

/** Whether quotation marks are opened and not closed, or closed and not opened; of normalised text. */
export function lacksQuotationMark(text: string): boolean {
  const doubles = count(text, /(?<!\d)"/g);
  // A closing single quote cannot be distinguished from an apostrophe ("goin' home"), so only a missing one is found.
  const opened = count(text, /(?<![\p{L}\p{N}])'(?!(?:em|cause|til|tis|twas|bout|n|\d\ds?)\b)(?=\S)/giu);
  const closed = count(text, /(?<=\S)'(?![\p{L}\p{N}])/gu);
  return doubles % 2 === 1 || opened > closed;
}

/** Whether letters of a word were replaced, as in `f***` or `motherf—er`. */
export function isCensored(text: string): boolean {
  return /\p{L}\*{2,}|\p{L}—(?:er|ers|ing|ed)\b/u.test(text);
}

const MAX_PASSES = 20;

/** In order. Whitespace comes first and is single afterwards, which also keeps every pattern linear. */
const RULES: readonly (readonly [RegExp, string])[] = [
  [/[\u0000-\u0008\u000e-\u001f\u007f-\u009f\u00ad\u200b\u2060\ufeff\u202a-\u202e\u2066-\u2069]/g, ''],
  [/\s+/g, ' '],
  [/^ | $/g, ''],
  // Straight marks, because the direction of curly ones is often wrong ("’Tis", "rock ’n’ roll").
  [/[‘’‚‛′ʼ`´＇]/g, "'"],
  [/[“”„‟«»″＂]|''/g, '"'],
  // Remains of an escape: can/'t, don\'t.
  [/\\(?=['"])|(?<=\p{L})\/(?='(?:t|s|m|d|re|ve|ll)\b)/giu, ''],
  [/[.…](?: ?[.…])+/g, '…'],
  [/[\u2010\u2011\ufe63\uff0d]/g, '-'],
  [/ (?:-{1,3}|[–—―]) /g, ' — '],
  [/-{2,}|―|—(?: ?—)+|(?<!\d)–|–(?!\d)/g, '—'],
  [/ —(?! |$)|(?<=[^ ])— /g, ' — '],
  [/([!?,;:])(?: ?\1)+/g, '$1'],
  [/(?:! ?\?|\? ?!)(?: ?[!?])*/g, '?!'],
  [/(?<=[!?])\.(?![\p{L}\p{N}])/gu, ''],
  [/ (?=…|[.,;:!?](?:[ "')\]]|$))/g, ''],
  [/(?<=\p{L})[,;!?](?=\p{L})|(?<=\p{L}):(?=\p{Lu})|(?<=\p{Ll})\.(?=\p{Lu}\p{Ll})/gu, '$& '],
  [/(?<=[^ "'(])…(?=[\p{L}\p{N}])/gu, '… '],
  // Punctuation with nothing before or after it; an ellipsis or dash at the end means that the voice breaks off, and
  // stays.
  [/^(?:[,;:!?—]|\.(?!\d)|-(?= ))+ ?/g, ''],
  [/[,;]$/g, ''],
  // Marks around the whole text, or at one of its ends only; after a digit they are inches.
  [/^"(?=[^"]*"?$)|"$(?<=^[^"]*[^"\d]")/g, ''],
  [/'$(?<=^(?:[^']|(?<=[\p{L}\p{N}])')*[.!?…]')/gu, ''],
];

function count(text: string, pattern: RegExp): number {
  return text.match(pattern)?.length ?? 0;
}
