import { ConfigurationError } from '../transport/errors';
import { readVariable } from '../transport/variable';
import type { LogThreshold } from './logger';
import type { Labels } from '../protocol';
import type { Concurrency } from './slot-pool';

/** Options of a runner that environment variables can set. */
export interface RunnerSettings {
  concurrency?: Concurrency;
  graceMs?: number;
  leaseMs?: number;
  queues?: string[];
  labels?: Labels;
  logLevel?: LogThreshold;
}

/** Names of queues and labels, as the coordinator accepts them. */
const NAME = /^[A-Za-z0-9_][\w.:/-]{0,199}$/;
const LEVELS: readonly LogThreshold[] = ['debug', 'info', 'warn', 'error', 'silent'];

/**
 * The options; those not given are read from `RUNNER_CONCURRENCY`, `RUNNER_GRACE_MS`, `RUNNER_LEASE_MS`,
 * `RUNNER_QUEUES`, `RUNNER_LABELS` and `RUNNER_LOG_LEVEL`; an empty variable counts as not set. Throws
 * `ConfigurationError` for an invalid value.
 */
export function withSettings<Options extends RunnerSettings>(
  given: Options,
  environment: NodeJS.ProcessEnv = process.env,
): Options {
  // An undefined option counts as not given.
  const options: Options = { ...given };
  for (const name of Object.keys(options) as (keyof Options)[]) if (options[name] === undefined) delete options[name];
  const settle = <Name extends keyof RunnerSettings>(
    option: Name,
    variable: string,
    parse: (name: string, text: string) => RunnerSettings[Name],
  ): void => {
    const text = readVariable(variable, environment);
    if (options[option] === undefined && text !== '') Object.assign(options, { [option]: parse(variable, text) });
  };
  settle('concurrency', 'RUNNER_CONCURRENCY', concurrencyOf);
  settle('graceMs', 'RUNNER_GRACE_MS', wholeNumberOf(0, 86_400_000));
  settle('leaseMs', 'RUNNER_LEASE_MS', wholeNumberOf(1000, 600_000));
  settle('queues', 'RUNNER_QUEUES', queuesOf);
  settle('labels', 'RUNNER_LABELS', labelsOf);
  settle('logLevel', 'RUNNER_LOG_LEVEL', levelOf);
  if (options.logLevel !== undefined) options.logLevel = levelOf('logLevel', String(options.logLevel));
  return options;
}

/** The default: everything in a developer's terminal, and otherwise what an operator wants to know. */
export function defaultLogLevel(environment: NodeJS.ProcessEnv = process.env): LogThreshold {
  return isDevelopment(environment['NODE_ENV']) ? 'debug' : 'info';
}

/** Whether it runs in a developer's terminal, unless `NODE_ENV` says otherwise. */
function isDevelopment(nodeEnv: string | undefined): boolean {
  return nodeEnv === undefined || nodeEnv === '' ? process.stderr.isTTY === true : nodeEnv === 'development';
}

function concurrencyOf(name: string, text: string): Concurrency {
  const [, min, max] = /^(\d+)(?:-(\d+))?$/.exec(text) ?? [];
  const numbers = [Number(min), Number(max ?? min)] as const;
  if (min === undefined || numbers[0] < 1 || numbers[1] < numbers[0] || numbers[1] > 10_000)
    throw refusal(name, text, 'a whole number from 1 to 10000, or a range of them such as 1-20');
  return max === undefined ? numbers[0] : { min: numbers[0], max: numbers[1] };
}

function wholeNumberOf(least: number, most: number): (name: string, text: string) => number {
  return (name, text) => {
    const number = /^\d+$/.test(text) ? Number(text) : NaN;
    if (number >= least && number <= most) return number;
    throw refusal(name, text, `a whole number of milliseconds from ${least} to ${most}`);
  };
}

function queuesOf(name: string, text: string): string[] {
  const names = text.split(',').map((one) => one.trim());
  if (names.length <= 200 && names.every((one) => NAME.test(one))) return names;
  throw refusal(name, text, 'at most 200 names of queues separated by commas, such as mails,films');
}

/** Parses `region=eu,gpu=true,memoryGb=64`; numbers and booleans are converted. */
function labelsOf(name: string, text: string): Labels {
  const pairs = text.split(',').map((pair) => /^\s*([^=]*?)\s*=\s*(.{1,200}?)\s*$/.exec(pair));
  const isUsable = (label: string) => NAME.test(label) && label !== '__proto__';
  const labels: [string, string | number | boolean][] = [];
  for (const pair of pairs) {
    const [, label, value] = pair ?? [];
    const isFree = labels.length < 50 && labels.every(([known]) => known !== label);
    if (label === undefined || value === undefined || !isUsable(label) || !isFree)
      throw refusal(name, text, 'at most 50 different names with values, such as region=eu,gpu=true,memoryGb=64');
    labels.push([label, labelValueOf(value)]);
  }
  return Object.fromEntries(labels);
}

function labelValueOf(text: string): string | number | boolean {
  if (text === 'true' || text === 'false') return text === 'true';
  // Only numbers that print the same: a version such as 1.10 is text.
  return text !== '' && String(Number(text)) === text && Number.isFinite(Number(text)) ? Number(text) : text;
}

function levelOf(name: string, text: string): LogThreshold {
  const level = LEVELS.find((one) => one === text.toLowerCase());
  if (level !== undefined) return level;
  throw refusal(name, text, `one of ${LEVELS.join(', ')}`);
}

function refusal(name: string, text: string, allowed: string): ConfigurationError {
  return new ConfigurationError(`${name} must be ${allowed}; it is ${JSON.stringify(text.slice(0, 200))}`);
}
