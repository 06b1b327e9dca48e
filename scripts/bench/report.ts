import type { LineResult, Results } from './result';

/** The table, for a terminal. */
export function renderTable(lines: LineResult[]): string {
  const rows = [['line', 'measure', 'baton', 'unit', 'peers', 'ratio', 'aim', ''], ...lines.map(cells)];
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => (row[column] ?? '').length)));
  const text = rows.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd(),
  );
  return [text[0], widths.map((width) => '-'.repeat(width)).join('  '), ...text.slice(1)].join('\n');
}

export function cells(result: LineResult): string[] {
  const { line, measure, value, unit, peers, ratio, isMet, note } = result;
  if (value === null) return [line, '', '', '', note ?? '', '', '', 'skipped'];
  const verdict = isMet === null ? '' : isMet ? 'met' : 'MISSED';
  return [
    line,
    measure,
    formatted(value),
    unit,
    formatPeers(peers),
    ratio === null ? '' : ratio.toFixed(2),
    aimOf(result),
    verdict,
  ];
}

export function aimOf({ aim }: LineResult): string {
  if (aim === null) return '';
  return 'most' in aim ? `<= ${formatted(aim.most)}` : `ratio >= ${aim.ratio.toFixed(2)}`;
}

export function formatPeers(peers: Record<string, number>): string {
  return Object.entries(peers)
    .map(([name, value]) => `${name} ${formatted(value)}`)
    .join(', ');
}

export function formatted(value: number): string {
  return value.toLocaleString('en', { maximumSignificantDigits: 3 });
}

export function renderHead({ machine, versions, at, scale, rounds }: Results): string {
  const parts = Object.entries(versions).map(([name, version]) => `${name} ${version}`);
  return `${machine.cpu}, ${machine.cores} cores, ${machine.memoryGiB} GiB, ${machine.system}\n${parts.join(', ')}\n${at}, ${scale} run, ${rounds} round${rounds === 1 ? '' : 's'}`;
}
