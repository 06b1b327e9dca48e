import type { Look, Style } from './style';
import { cut, oneLine, padEnd, padStart, widthOf } from './text';

export interface Column<Row> {
  title: string;
  of: (row: Row) => string | number | null | undefined;
  align?: 'right';
  look?: (row: Row) => Look | undefined;
  /** May be cut to this many columns when the table is too wide; undefined: never cut. */
  least?: number;
  /** Left out when the table is too wide even with everything cut; the highest number first. */
  drop?: number;
}

const GAP = 2;
const EMPTY = '-';

/** @param width columns of the terminal; null: no limit */
export function tableLines<Row>(
  columns: readonly Column<Row>[],
  rows: readonly Row[],
  width: number | null,
  style: Style,
): string[] {
  const cells = columns.map((column) => rows.map((row) => cellOf(column.of(row))));
  const wanted = columns.map((column, index) =>
    Math.max(widthOf(column.title), ...(cells[index] ?? []).map((text) => widthOf(text))),
  );
  const widths = fit(columns, wanted, width);
  const shown = columns.flatMap((column, index) => {
    const columnWidth = widths[index] ?? 0;
    return columnWidth > 0 ? [{ column, texts: cells[index] ?? [], columnWidth }] : [];
  });
  const line = (part: (one: (typeof shown)[number], isLast: boolean) => string): string =>
    shown
      .map((one, index) => part(one, index === shown.length - 1))
      .join(' '.repeat(GAP))
      .trimEnd();
  const place = (text: string, { column, columnWidth }: (typeof shown)[number], isLast: boolean): string => {
    const fitting = cut(text, columnWidth);
    if (column.align === 'right') return padStart(fitting, columnWidth);
    return isLast ? fitting : padEnd(fitting, columnWidth);
  };
  return [
    line((one, isLast) => style('bold', place(one.column.title, one, isLast))),
    ...rows.map((row, index) =>
      line((one, isLast) => {
        const text = place(one.texts[index] ?? '', one, isLast);
        return style(one.texts[index] === EMPTY ? 'dim' : one.column.look?.(row), text);
      }),
    ),
  ];
}

function cellOf(value: string | number | null | undefined): string {
  const text = value === null || value === undefined ? '' : oneLine(String(value));
  return text === '' ? EMPTY : text;
}

/** The width of each column; 0: it is left out. */
function fit(columns: readonly Column<never>[], wanted: readonly number[], width: number | null): number[] {
  if (width === null) return [...wanted];
  const widths = [...wanted];
  const total = () => {
    const left = widths.filter((one) => one > 0);
    return left.reduce((sum, one) => sum + one, 0) + GAP * Math.max(0, left.length - 1);
  };
  const leastOf = (index: number) => Math.min(columns[index]?.least ?? Infinity, wanted[index] ?? 0);
  const leastTotal = () =>
    total() - widths.reduce((sum, one, index) => sum + (one > 0 ? (wanted[index] ?? 0) - leastOf(index) : 0), 0);
  while (leastTotal() > width) {
    const next = mostDispensable(columns, widths);
    if (next === undefined) break;
    widths[next] = 0;
  }
  // The widest columns are cut first, so that none is cut while another has room to spare.
  for (let over = total() - width; over > 0; over -= 1) {
    const widest = widths.reduce(
      (best, one, index) => (one > leastOf(index) && one > (widths[best] ?? 0) ? index : best),
      -1,
    );
    const current = widths[widest];
    if (current === undefined) break;
    widths[widest] = current - 1;
  }
  return widths;
}

function mostDispensable(columns: readonly Column<never>[], widths: readonly number[]): number | undefined {
  const candidates = columns
    .map(({ drop }, index) => ({ drop, index }))
    .filter(({ drop, index }) => drop !== undefined && (widths[index] ?? 0) > 0)
    .sort((a, b) => (b.drop ?? 0) - (a.drop ?? 0));
  return candidates[0]?.index;
}
