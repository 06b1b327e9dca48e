import { types } from 'node:util';
import type { JobContext } from './context';
import type { JobDefinition } from '../client/define-job';
import { ConfigurationError } from '../transport/errors';
import { messageOf } from '../transport/failure';

export type Handler<Arguments = unknown, Result = unknown> = (
  args: Arguments,
  job: JobContext,
) => Promise<Result> | Result;

/**
 * What happens next to a job whose attempt failed; both `null` when the coordinator's answer to the report never
 * arrived.
 */
export interface NextTry {
  /** `false`: the job has failed for good and is in the dead-letter queue. */
  willRetry: boolean | null;
  /** When it is retried. */
  retryAt: Date | null;
}

/**
 * Callbacks of a handler. They do not affect the job: what they throw is logged, and a stopping runner waits at most 5
 * s for each.
 */
export interface HandlerHooks<Result = unknown> {
  /** After each `job.progress`. */
  onProgress?: (progress: { percent: number; message?: string }, job: JobContext) => unknown;
  /** Once the coordinator has stored the result. */
  onComplete?: (result: Result, job: JobContext) => unknown;
  /**
   * After the coordinator has said what happens after the failure; for timeouts too, not for cancelled or lost
   * attempts.
   */
  onError?: (error: unknown, job: JobContext, next: NextTry) => unknown;
}

/** A handler with callbacks: `{ handle, onProgress?, onComplete?, onError? }`. */
export interface HandlerObject<Arguments = unknown, Result = unknown> extends HandlerHooks<Result> {
  handle: Handler<Arguments, Result>;
}

/** Refuses generator functions as handlers, because their bodies would never run. */
export type NoGenerator<Given> = Given extends { handle: infer Handle }
  ? NoGeneratorFunction<Handle>
  : NoGeneratorFunction<Given>;

type NoGeneratorFunction<Given> = Given extends (...args: never[]) => infer Returned
  ? [Returned] extends [never]
    ? unknown
    : Returned extends Generator | AsyncGenerator
      ? 'a generator function is no handler: write an async function, and return the result'
      : unknown
  : unknown;

/** A handler with the schemas of its job's definition. */
export interface Work {
  definition: Pick<JobDefinition, 'arguments' | 'result' | 'jsonSchemas'>;
  handler: Handler;
  hooks?: HandlerHooks | undefined;
}

/** Throws `ConfigurationError` for values that cannot be handlers. */
export function workOf(definition: JobDefinition, given: unknown): Work {
  const { type } = definition;
  if (typeof given === 'function') return { definition, handler: checked(type, given as Handler) };
  if (typeof given !== 'object' || given === null || !('handle' in given) || typeof given.handle !== 'function')
    throw new ConfigurationError(
      `the handler of ${type} must be a function, or { handle, onProgress?, onComplete?, onError? }; it is ${messageOf(given)}`,
    );
  // Called as methods, so that they may belong to a stateful object.
  const hooks = given as HandlerObject;
  checked(type, hooks.handle);
  for (const name of ['onProgress', 'onComplete', 'onError'] as const)
    if (hooks[name] !== undefined && typeof hooks[name] !== 'function')
      throw new ConfigurationError(`${name} of the handler of ${type} must be a function`);
  return { definition, handler: (args, job) => hooks.handle(args, job), hooks };
}

function checked(type: string, handler: Handler): Handler {
  if (types.isGeneratorFunction(handler))
    throw new ConfigurationError(
      `the handler of ${type} is a generator function, whose body would never run; write an async function, and return the result`,
    );
  return handler;
}
