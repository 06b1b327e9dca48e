import { InvalidArgumentError } from 'commander';

/** For options that may be given several times. */
export function collect(value: string, former: string[] | undefined): string[] {
  return [...(former ?? []), value];
}

/** The same, also separated by commas; for names, which contain none. */
export function collectNames(value: string, former: string[] | undefined): string[] {
  const names = value.split(',').map((name) => name.trim());
  if (names.includes('')) throw new InvalidArgumentError('There is an empty name in it.');
  return [...(former ?? []), ...names];
}

/** A parser for one of a few words, or several of them with commas. */
export function collectOf<Word extends string>(words: readonly Word[]) {
  return (value: string, former: Word[] | undefined): Word[] => [
    ...(former ?? []),
    ...value.split(',').map((one) => {
      const word = words.find((candidate) => candidate === one.trim());
      if (word === undefined) throw new InvalidArgumentError(`Allowed are ${words.join(', ')}.`);
      return word;
    }),
  ];
}

/** A whole number between two. */
export function parseWhole(least: number, most: number) {
  return (value: string): number => {
    const number = Number(value);
    if (!/^-?\d+$/.test(value) || number < least || number > most)
      throw new InvalidArgumentError(`Write a whole number from ${least} to ${most}.`);
    return number;
  };
}

/** Removes a limit; not `null`, which the command line treats as a missing value. */
export const NONE = 'none';

/** A whole number, or `none`. */
export function parseLimit(most: number) {
  const whole = parseWhole(1, most);
  return (value: string): number | typeof NONE => (value === NONE ? NONE : whole(value));
}

/** -100 to 100, or a named priority. */
export function parsePriority(value: string): number | 'high' | 'normal' | 'low' {
  if (value === 'high' || value === 'normal' || value === 'low') return value;
  if (!/^-?\d{1,3}$/.test(value) || Math.abs(Number(value)) > 100)
    throw new InvalidArgumentError('Write high, normal, low, or a number from -100 to 100.');
  return Number(value);
}

/** `gpu=true`, `memoryGb=>=40`: names and values of labels; numbers and booleans are converted. */
export function collectLabels(
  value: string,
  former: Record<string, string | number | boolean> | undefined,
): Record<string, string | number | boolean> {
  const [name, text] = splitPair(value, 'gpu=true');
  return { ...former, [name]: scalarOf(text) };
}

function scalarOf(text: string): string | number | boolean {
  if (text === 'true' || text === 'false') return text === 'true';
  return /^-?\d+(\.\d+)?$/.test(text) && Number.isFinite(Number(text)) ? Number(text) : text;
}

/** The two sides of the first `=`. */
export function splitPair(value: string, example: string): [string, string] {
  const at = value.indexOf('=');
  if (at < 1) throw new InvalidArgumentError(`Write a name and a value, such as ${example}.`);
  return [value.slice(0, at), value.slice(at + 1)];
}
