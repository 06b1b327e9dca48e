import { InvalidArgumentError } from 'commander';
import type { Queue, SetQueue } from '@baton/runner-sdk';
import { durationMsOf } from '../../input/durations';
import { NONE } from '../../input/values';
import { jsonText } from '../../terminal/text';
import { durationText } from '../../terminal/time';

export type SettingName = keyof SetQueue;

/** Every setting of a queue. */
export const SETTINGS = [
  'concurrency',
  'concurrencyPerKey',
  'rateLimit',
  'keyRateLimit',
  'userRateLimit',
  'maxWaiting',
  'defaults',
  'fair',
  'checkArguments',
  'retention',
  'cost',
] as const satisfies readonly SettingName[];

/** What a setting is when nobody has set it. */
export function byDefault(name: SettingName): boolean | null {
  if (name === 'fair') return true;
  return name === 'checkArguments' ? false : null;
}

/** The settings of a queue, without defaults. */
export function settingsOf(queue: Queue): Partial<Record<SettingName, unknown>> {
  return Object.fromEntries(
    SETTINGS.map((name) => [name, queue[name]] as const).filter(([name, value]) => value !== byDefault(name)),
  );
}

/** A setting in few words: `100 a min`, `completed 7 d`. */
export function limitText(value: unknown): string {
  if (value === null || value === undefined) return 'none';
  if (typeof value === 'string') return value;
  if (typeof value !== 'object') return jsonText(value);
  if ('max' in value && 'perMs' in value) return `${String(value.max)} in ${durationText(Number(value.perMs))}`;
  return Object.entries(value)
    .map(([name, member]) => {
      if (typeof member === 'number' && name.endsWith('Ms')) return `${name.slice(0, -2)} ${durationText(member)}`;
      return `${name} ${typeof member === 'string' ? member : jsonText(member)}`;
    })
    .join(', ');
}

/** `100/1m`: a number per time; `none` removes the limit. */
export function parseRate(text: string): { max: number; perMs: number } | typeof NONE {
  if (text === NONE) return NONE;
  const [, max, period] = /^(\d+)\/(.+)$/.exec(text) ?? [];
  const perMs = period === undefined ? undefined : durationMsOf(/^\d/.test(period) ? period : `1${period}`);
  if (max === undefined || perMs === undefined)
    throw new InvalidArgumentError('Write how many within how long, such as 100/1m, or none.');
  return { max: Number(max), perMs };
}
