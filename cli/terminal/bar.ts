import { plain, type Style } from './style';

/** Progress as a bar of this many columns. */
export function bar(fraction: number, columns: number, style: Style): string {
  const full = Math.round(Math.min(1, Math.max(0, fraction)) * columns);
  const rest = style === plain ? '·' : '━';
  return `${style('green', '━'.repeat(full))}${style('dim', rest.repeat(columns - full))}`;
}
