import type { CommandUnknownOpts } from '@commander-js/extra-typings';
import type { Filter, JobStatus } from '@baton/runner-sdk';
import type { Cli } from '../cli';
import { Failure } from '../exit-codes';
import { choices } from './choices';
import { parsePastTime } from './durations';
import { readJsonObject } from './json';
import { collect, collectNames } from './values';

export const STATUSES = [
  'blocked',
  'pending',
  'running',
  'completed',
  'failed',
  'cancelled',
] as const satisfies readonly JobStatus[];

interface FilterOptions {
  status?: JobStatus[];
  type?: string[];
  queue?: string[];
  user?: string[];
  tag?: string[];
  runner?: string[];
  fingerprint?: string[];
  priority?: number[];
  concurrencyKey?: string[];
  orderKey?: string[];
  uniqueKey?: string[];
  createdAfter?: string;
  createdBefore?: string;
  finishedAfter?: string;
  finishedBefore?: string;
  arguments?: string;
}

/** The filters of the API as options of a command; several values of one mean any of them, several options mean all. */
export function addJobFilter(command: CommandUnknownOpts, without: readonly 'status'[] = []): void {
  if (!without.includes('status'))
    command.addOption(choices('-s, --status <status>', 'only jobs with this status', STATUSES));
  command
    .option('-t, --type <type>', 'only jobs of this type', collectNames)
    .option('-Q, --queue <queue>', 'only jobs in this queue', collectNames)
    .option('-u, --user <userId>', 'only jobs of this user', collect)
    .option('--tag <tag>', 'only jobs with this tag', collect)
    .option('--runner <runnerId>', 'only jobs whose latest attempt was given to this runner', collect)
    .option('--fingerprint <fingerprint>', 'only failed jobs of this group of dead letters', collect)
    .option('--priority <priority>', 'only jobs with this priority', collect)
    .option('--concurrency-key <key>', 'only jobs with this concurrency key', collect)
    .option('--order-key <key>', 'only jobs with this order key', collect)
    .option('--unique-key <key>', 'only jobs with this unique key', collect)
    .option('--created-after <time>', 'only jobs created after this time, or in the last 2h', parsePastTime)
    .option('--created-before <time>', 'only jobs created before this time, or longer ago than 2h', parsePastTime)
    .option('--finished-after <time>', 'only jobs that finished after this time, or in the last 2h', parsePastTime)
    .option(
      '--finished-before <time>',
      'only jobs that finished before this time, or longer ago than 2h',
      parsePastTime,
    )
    .option('--arguments <json>', 'only jobs whose arguments contain this JSON object');
}

/** The filter of a command; empty: every job. */
export async function jobFilterOf(cli: Cli, command: { opts(): Record<string, unknown> }): Promise<Filter> {
  const options = command.opts() as FilterOptions;
  const filter: Record<string, unknown> = {
    status: options.status,
    type: options.type,
    queue: options.queue,
    userId: options.user,
    tag: options.tag,
    runnerId: options.runner,
    fingerprint: options.fingerprint,
    priority: options.priority,
    concurrencyKey: options.concurrencyKey,
    orderKey: options.orderKey,
    uniqueKey: options.uniqueKey,
    createdAfter: options.createdAfter,
    createdBefore: options.createdBefore,
    finishedAfter: options.finishedAfter,
    finishedBefore: options.finishedBefore,
    arguments:
      options.arguments === undefined
        ? undefined
        : await readJsonObject(options.arguments, 'the value of --arguments', cli.terminal.streams),
  };
  return Object.fromEntries(Object.entries(filter).filter(([, value]) => value !== undefined));
}

/** The filter, or every job with `--all`; neither by mistake. */
export async function requireChoice(
  cli: Cli,
  command: { opts(): Record<string, unknown> },
  isAll: true | undefined,
): Promise<Filter | { all: true }> {
  const filter = await jobFilterOf(cli, command);
  const isEmpty = Object.keys(filter).length === 0;
  if (isAll === true && isEmpty) return { all: true };
  if (isAll === true)
    throw new Failure('usage', '--all means every job, and stands beside a filter', 'Give one of the two.');
  if (isEmpty)
    throw new Failure('usage', 'nothing says which jobs are meant', 'Give ids, a filter, or --all for every job.');
  return filter;
}
