const NUMBER = new Intl.NumberFormat();
const COMPACT = new Intl.NumberFormat(undefined, { notation: 'compact', maximumFractionDigits: 1 });
const EXACT_TIME = new Intl.DateTimeFormat(undefined, {
  dateStyle: 'medium',
  timeStyle: 'long',
});
const SHORT_TIME = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit' });
const SHORT_DAY = new Intl.DateTimeFormat(undefined, { month: 'short', day: 'numeric' });
const CLOCK = new Intl.DateTimeFormat(undefined, {
  hour: '2-digit',
  minute: '2-digit',
  second: '2-digit',
  fractionalSecondDigits: 3,
  hour12: false,
});

export function count(value: number): string {
  return NUMBER.format(value);
}

export function compact(value: number): string {
  return Math.abs(value) < 10_000 ? NUMBER.format(Math.round(value * 100) / 100) : COMPACT.format(value);
}

/** `1 job`, `2 jobs`. */
export function plural(value: number, one: string, many = `${one}s`): string {
  return `${count(value)} ${value === 1 ? one : many}`;
}

export function percent(share: number | null): string {
  if (share === null) return '–';
  const value = share * 100;
  return `${value === 0 || value >= 10 ? Math.round(value) : value.toFixed(1)} %`;
}

const UNITS: [ms: number, name: string][] = [
  [86_400_000, 'd'],
  [3_600_000, 'h'],
  [60_000, 'min'],
  [1000, 's'],
];

/** In the largest fitting unit, and the next one below it: `1 h 5 min`, `3.2 s`, `40 ms`. */
export function duration(ms: number | null): string {
  if (ms === null) return '–';
  if (ms < 1) return ms === 0 ? '0 ms' : '< 1 ms';
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 10_000) return `${Math.round(ms / 100) / 10} s`;
  const at = UNITS.findIndex(([unit]) => ms >= unit);
  const [unit, name] = UNITS[at] ?? [1000, 's'];
  const below = UNITS[at + 1];
  const whole = Math.floor(ms / unit);
  const rest = below === undefined ? 0 : Math.floor((ms % unit) / below[0]);
  return rest === 0 || below === undefined ? `${whole} ${name}` : `${whole} ${name} ${rest} ${below[1]}`;
}

/** In one unit, for the axis of a chart. */
export function axisDuration(ms: number): string {
  if (ms < 1000) return `${compact(ms)} ms`;
  const [unit, name] = UNITS.find(([each]) => ms >= each) ?? [1000, 's'];
  return `${Math.round((ms / unit) * 10) / 10} ${name}`;
}

/** How long ago, or until when, in one unit: for lists, where it changes all the time. */
export function ago(at: string, now: number): string {
  const ms = now - Date.parse(at);
  const size = Math.abs(ms);
  if (size < 1000) return 'now';
  const [unit, name] = UNITS.find(([each]) => size >= each) ?? [1000, 's'];
  const text = `${Math.floor(size / unit)} ${name}`;
  return ms >= 0 ? `${text} ago` : `in ${text}`;
}

/** With date, seconds and the viewer's zone. */
export function exactTime(at: string): string {
  return EXACT_TIME.format(new Date(at));
}

export function clock(at: string): string {
  return CLOCK.format(new Date(at));
}

/** For the axis of a chart whose steps are so long. */
export function axisTime(at: string, stepMs: number): string {
  return stepMs >= 86_400_000 ? SHORT_DAY.format(new Date(at)) : SHORT_TIME.format(new Date(at));
}

export function bytes(value: number | null): string {
  if (value === null) return '–';
  if (value < 1000) return `${value} B`;
  const units = ['kB', 'MB', 'GB', 'TB'];
  let size = value;
  let unit = 'B';
  for (const next of units) {
    if (size < 1000) break;
    size /= 1000;
    unit = next;
  }
  return `${size < 10 ? size.toFixed(1) : Math.round(size)} ${unit}`;
}

export function shortId(id: string): string {
  return id.length > 12 ? id.slice(-12) : id;
}

/** Beyond ASCII, names may look like others or turn the line around; such signs are shown by their codes. */
export function visible(text: string): string {
  return text.replace(
    /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g,
    (sign) => `\\u${sign.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

/** In a zone that the viewer may not be in: `Mon 07 Dec, 08:00`. A zone that is not known is the viewer's. */
export function zonedTime(at: string, timeZone: string): string {
  const options = { weekday: 'short', day: '2-digit', month: 'short', hour: '2-digit', minute: '2-digit' } as const;
  try {
    return new Intl.DateTimeFormat(undefined, { ...options, timeZone }).format(new Date(at));
  } catch {
    return new Intl.DateTimeFormat(undefined, options).format(new Date(at));
  }
}
