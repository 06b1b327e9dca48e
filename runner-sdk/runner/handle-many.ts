import type { JobDefinition } from '../client/define-job';
import { ConfigurationError } from '../transport/errors';
import { messageOf } from '../transport/failure';
import type { JobContext } from './context';
import type { Handler } from './handler';

/** One of the jobs that a handler of many is given. */
export interface ManyJob<Arguments = unknown> {
  readonly arguments: Arguments;
  /** The same as a handler of one is given: its own signal, progress, log and checkpoint. */
  readonly job: JobContext;
}

/**
 * Takes jobs together, and returns an outcome for each, in their order: its result, or an `Error`, which has the same
 * meaning as one that a handler throws. What it throws itself is the failure of all of them.
 */
export type ManyHandler<Arguments = unknown, Result = unknown> = (
  jobs: readonly ManyJob<Arguments>[],
) => Promise<readonly (Result | Error)[]> | readonly (Result | Error)[];

export interface ManyOptions {
  /** How many jobs a call may get, 1 to 10,000; never more than the runner's `concurrency`. */
  max: number;
  /**
   * How long the first of them waits for others, in milliseconds, up to 60,000; counted in its `timeoutMs`. Default 0.
   */
  lingerMs?: number | undefined;
}

interface Waiting extends ManyJob {
  settle: (outcome: unknown) => void;
  reject: (error: unknown) => void;
}

/**
 * A handler of one that gathers its calls and hands them on together. Each job stays an attempt of its own: its lease
 * is kept, it is cancelled, timed out and retried for itself.
 */
export function gathering(
  { type }: Pick<JobDefinition, 'type'>,
  options: ManyOptions,
  handler: ManyHandler<never, unknown>,
): Handler {
  const { max, lingerMs = 0 } = options;
  assertWithin(type, 'max', max, 1, 10_000);
  assertWithin(type, 'lingerMs', lingerMs, 0, 60_000);
  if (typeof handler !== 'function')
    throw new ConfigurationError(`the handler of many of ${type} must be a function; it is ${messageOf(handler)}`);
  let waiting: Waiting[] = [];
  let timer: NodeJS.Timeout | undefined;
  const flush = () => {
    clearTimeout(timer);
    timer = undefined;
    const group = waiting;
    waiting = [];
    void handOver(type, group, handler as ManyHandler);
  };
  return (args, job) =>
    new Promise((resolve, reject) => {
      waiting.push({ arguments: args, job, settle: resolve, reject });
      if (waiting.length >= max) return flush();
      timer ??= setTimeout(flush, lingerMs);
    });
}

/** Never rejects. */
async function handOver(type: string, group: Waiting[], handler: ManyHandler): Promise<void> {
  // What was cancelled while it waited for others is not begun; its outcome is decided already.
  const begun = group.filter(({ job, reject }) => {
    if (job.signal.aborted) reject(job.signal.reason);
    return !job.signal.aborted;
  });
  if (begun.length === 0) return;
  try {
    const outcomes = await handler(begun.map(({ arguments: args, job }) => ({ arguments: args, job })));
    if (!Array.isArray(outcomes) || outcomes.length !== begun.length)
      throw new Error(
        `the handler of many of ${type} was given ${begun.length} jobs and returned ${Array.isArray(outcomes) ? `${outcomes.length} outcomes` : messageOf(outcomes)}; it must return one for each`,
      );
    begun.forEach(({ settle, reject }, nth) => {
      const outcome: unknown = outcomes[nth];
      if (outcome instanceof Error) reject(outcome);
      else settle(outcome);
    });
  } catch (error) {
    for (const { reject } of begun) reject(error);
  }
}

function assertWithin(type: string, name: string, value: number, least: number, most: number): void {
  if (Number.isInteger(value) && value >= least && value <= most) return;
  throw new ConfigurationError(
    `${name} of the handler of many of ${type} must be a whole number from ${least} to ${most}; it is ${String(value)}`,
  );
}
