// JSON as text: finds what JSON.parse would silently change, and where a text stops being JSON.

/** Every number that a double may not represent has at least this many digits in a row, except for a decimal point. */
const LONG_NUMBER = /[\d.]{16,}/;

/**
 * As `JSON.parse`, but an integer that a double cannot represent, such as 9007199254740993, is returned as a bigint,
 * which no schema accepts: otherwise another number would be stored.
 * @throws {SyntaxError}
 */
export function parseJson(text: string): unknown {
  const value: unknown = JSON.parse(text);
  const lost = LONG_NUMBER.test(text) ? lostNumbers(text) : [];
  return lost.length === 0 ? value : JSON.parse(marked(text, lost), revive);
}

/** Strings with NUL are never stored, so no valid string can be mistaken for a mark. */
const MARK = '\u0000number:';

interface Lost {
  from: number;
  to: number;
  whole: bigint;
}

/** Numbers that a double cannot represent; digits within strings are ignored. */
function lostNumbers(text: string): Lost[] {
  const lost: Lost[] = [];
  const next = /"|-?\d[\d.]*(?:[eE][+-]?\d+)?/g;
  for (let found = next.exec(text); found !== null; found = next.exec(text)) {
    const [token] = found;
    if (token === '"') {
      next.lastIndex = endOfString(text, next.lastIndex);
      continue;
    }
    const whole = lostOf(token);
    if (whole !== null) lost.push({ from: found.index, to: next.lastIndex, whole });
  }
  return lost;
}

function endOfString(text: string, from: number): number {
  for (let at = text.indexOf('"', from); at >= 0; at = text.indexOf('"', at + 1)) {
    let escapes = 0;
    while (text[at - 1 - escapes] === '\\') escapes += 1;
    if (escapes % 2 === 0) return at + 1;
  }
  return text.length;
}

function marked(text: string, lost: Lost[]): string {
  const parts: string[] = [];
  let done = 0;
  for (const { from, to, whole } of lost) {
    parts.push(text.slice(done, from), JSON.stringify(`${MARK}${whole}`));
    done = to;
  }
  return parts.join('') + text.slice(done);
}

function revive(_name: string, value: unknown): unknown {
  if (typeof value !== 'string' || !value.startsWith(MARK)) return value;
  const digits = value.slice(MARK.length);
  return /^-?\d+$/.test(digits) ? BigInt(digits) : value;
}

/** The exact integer, if a double cannot represent it. */
function lostOf(token: string): bigint | null {
  const number = Number(token);
  if (!LONG_NUMBER.test(token) || !Number.isFinite(number)) return null;
  const whole = wholeOf(token);
  // Equal to the double, or to its shortest text: JavaScript itself writes 2 ** 64 as 18446744073709552000.
  return whole === null || BigInt(number) === whole || wholeOf(String(number)) === whole ? null : whole;
}

/** Larger ones are refused for their size. */
const MOST_EXPONENT = 400;

/** The number as written, if it is an integer. */
function wholeOf(token: string): bigint | null {
  const [mantissa = '', exponent = '0'] = token.toLowerCase().split('e');
  const [whole = '', fraction = ''] = mantissa.split('.');
  const shift = Number(exponent) - fraction.length;
  if (Math.abs(shift) > MOST_EXPONENT) return null;
  const digits = BigInt(whole + fraction);
  if (shift >= 0) return digits * 10n ** BigInt(shift);
  const divisor = 10n ** BigInt(-shift);
  return digits % divisor === 0n ? digits / divisor : null;
}

const TOKEN =
  /[ \t\r\n]*(?:([{}[\],:])|("(?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[\da-fA-F]{4}))*")|(-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?(?![\w.+-])|(?:true|false|null)(?!\w)))/y;
const MOST_SHOWN = 30;

/** Describes where a text stops being JSON: line and column, counted from 1, what is there and what is expected. */
export function jsonFault(text: string): string {
  try {
    return firstFault(text);
  } catch (error) {
    // A string with millions of escapes exhausts the stack of the regular expression engine.
    if (error instanceof RangeError) return 'it is not well-formed';
    throw error;
  }
}

function firstFault(text: string): string {
  let state: State = 'value';
  const open: ('{' | '[')[] = [];
  TOKEN.lastIndex = 0;
  for (;;) {
    const from = TOKEN.lastIndex;
    const token = TOKEN.exec(text);
    const next: State | null = token === null ? null : step(state, open, token);
    if (next === null) return told(text, from, EXPECTED[state](open.at(-1)));
    state = next;
  }
}

type State = 'value' | 'first value' | 'name' | 'first name' | 'colon' | 'after';

const EXPECTED: Record<State, (open: '{' | '[' | undefined) => string> = {
  value: () => 'a value',
  'first value': () => 'a value or ]',
  name: () => 'a name in double quotes',
  'first name': () => 'a name in double quotes or }',
  colon: () => 'a colon',
  after: (open) => (open === undefined ? 'the end' : open === '{' ? 'a comma or }' : 'a comma or ]'),
};

/** The state after this token; null: it is not allowed here. */
function step(state: State, open: ('{' | '[')[], [, sign, string]: RegExpExecArray): State | null {
  if (sign === '}') return close(state, open, '{');
  if (sign === ']') return close(state, open, '[');
  switch (state) {
    case 'value':
    case 'first value':
      return beginValue(open, sign);
    case 'name':
    case 'first name':
      return string === undefined ? null : 'colon';
    case 'colon':
      return sign === ':' ? 'value' : null;
    case 'after':
      if (sign !== ',' || open.length === 0) return null;
      return open.at(-1) === '{' ? 'name' : 'value';
  }
}

function beginValue(open: ('{' | '[')[], sign: string | undefined): State | null {
  if (sign !== '{' && sign !== '[') return sign === undefined ? 'after' : null;
  open.push(sign);
  return sign === '{' ? 'first name' : 'first value';
}

function close(state: State, open: ('{' | '[')[], opening: '{' | '['): State | null {
  const mayClose = state === 'after' || state === (opening === '{' ? 'first name' : 'first value');
  if (!mayClose || open.at(-1) !== opening) return null;
  open.pop();
  return 'after';
}

function told(text: string, from: number, expected: string): string {
  const at = from + (/^[ \t\r\n]*/.exec(text.slice(from, from + 10_000))?.[0].length ?? 0);
  const before = text.slice(0, at);
  const line = before.split('\n').length;
  const column = at - before.lastIndexOf('\n');
  const where = `line ${line}, column ${column}`;
  const found = text.slice(at, at + MOST_SHOWN);
  if (found === '') return `it ends at ${where}, where ${expected} is expected`;
  const word = /^(?:[\w.+-]+|"(?:[^"\\\r\n]|\\.)*"?|[^])/u.exec(found)?.[0] ?? found;
  return `${where} has ${JSON.stringify(word)} where ${expected} is expected`;
}
