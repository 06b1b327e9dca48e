/** With a comma every three digits: `12,345`. */
export function countText(count: number): string {
  return String(count).replace(/\B(?=(\d{3})+(?!\d))/g, ',');
}

/** A fraction as percent: `99.5 %`; null: nothing was measured. */
export function percentText(share: number | null): string | null {
  return share === null ? null : `${(share * 100).toFixed(1).replace(/\.0$/, '')} %`;
}

const BYTE_UNITS = ['B', 'kB', 'MB', 'GB', 'TB'];

export function bytesText(bytes: number): string {
  let value = bytes;
  let unit = 0;
  for (; value >= 1000 && unit < BYTE_UNITS.length - 1; unit += 1) value /= 1000;
  return `${value >= 100 || unit === 0 ? Math.round(value) : value.toFixed(1)} ${BYTE_UNITS[unit]}`;
}
