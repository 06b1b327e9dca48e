const CODES = {
  bold: [1, 22],
  dim: [2, 22],
  inverse: [7, 27],
  red: [31, 39],
  green: [32, 39],
  yellow: [33, 39],
  blue: [34, 39],
  magenta: [35, 39],
  cyan: [36, 39],
} as const;

export type Look = keyof typeof CODES;

/** Colours text, or leaves it unchanged without colour. */
export type Style = (look: Look | undefined, text: string) => string;

export const plain: Style = (_look, text) => text;

export const coloured: Style = (look, text) => {
  if (look === undefined || text === '') return text;
  const [on, off] = CODES[look];
  return `\u001b[${on}m${text}\u001b[${off}m`;
};

const BY_WORD = new Map<string, Look>([
  ['blocked', 'magenta'],
  ['pending', 'yellow'],
  ['running', 'cyan'],
  ['completed', 'green'],
  ['failed', 'red'],
  ['cancelled', 'dim'],
  ['timed_out', 'red'],
  ['released', 'dim'],
  ['active', 'green'],
  ['draining', 'yellow'],
  ['lost', 'red'],
  ['stopped', 'dim'],
  ['ok', 'green'],
  ['firing', 'red'],
  ['delivered', 'green'],
  ['paused', 'yellow'],
  ['debug', 'dim'],
  ['warn', 'yellow'],
  ['error', 'red'],
]);

/** The style of a word for a state. */
export function lookOf(word: string): Look | undefined {
  return BY_WORD.get(word);
}
