const UNITS = [
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['min', 60_000],
  ['s', 1000],
] as const;

/** A duration in its two largest units: `850 ms`, `12.4 s`, `3 min 20 s`, `2 d 4 h`. */
export function durationText(ms: number): string {
  const rounded = Math.round(ms);
  if (rounded < 1000) return `${rounded} ms`;
  if (rounded < 60_000) return `${trimmed(rounded / 1000)} s`;
  const index = UNITS.findIndex(([, size]) => rounded >= size);
  const [unit, size] = UNITS[index] ?? UNITS[3];
  const next = UNITS[index + 1];
  const whole = Math.floor(rounded / size);
  const rest = next === undefined ? 0 : Math.floor((rounded % size) / next[1]);
  return rest === 0 || next === undefined || whole >= 10 ? `${whole} ${unit}` : `${whole} ${unit} ${rest} ${next[0]}`;
}

/** `3 min ago`, `in 2 h`, `now`. */
export function relativeText(iso: string, nowMs: number): string {
  const ms = Date.parse(iso) - nowMs;
  if (Number.isNaN(ms)) return iso;
  if (Math.abs(ms) < 1000) return 'now';
  const text = coarse(Math.abs(ms));
  return ms < 0 ? `${text} ago` : `in ${text}`;
}

function coarse(ms: number): string {
  const [unit, size] = UNITS.find(([, one]) => ms >= one) ?? UNITS[3];
  return `${Math.floor(ms / size)} ${unit}`;
}

function trimmed(value: number): string {
  return value >= 10 ? String(Math.round(value)) : value.toFixed(1).replace(/\.0$/, '');
}
