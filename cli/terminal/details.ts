import type { Style } from './style';
import { clean, jsonText, widthOf } from './text';

/** A name and its value; null: the line is left out. */
export type Detail = readonly [name: string, value: unknown];

/** Lines of names and values; a value with several lines is indented below its name. */
export function detailLines(details: readonly Detail[], style: Style): string[] {
  const shown = details.filter(([, value]) => value !== null && value !== undefined);
  const width = Math.max(0, ...shown.map(([name]) => widthOf(name)));
  return shown.flatMap(([name, value]) => {
    const lines = (typeof value === 'string' ? clean(value) : valueText(value)).split('\n');
    const label = style('dim', name.padEnd(width));
    if (lines.length === 1) return [`${label}  ${lines[0] ?? ''}`];
    return [style('dim', name), ...lines.map((line) => `  ${line}`)];
  });
}

/** JSON, on one line if it is short. */
function valueText(value: unknown): string {
  const short = jsonText(value);
  return short.length <= 100 ? short : jsonText(value, 2);
}
