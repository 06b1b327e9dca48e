import { GetFunctionConfigurationCommand, InvokeCommand, type LambdaClient } from '@aws-sdk/client-lambda';
import { type JobContext, NonRetryableError, SnoozeError } from '@baton/runner-sdk';
import type { Callbacks } from './callbacks';
import type { LambdaFunction } from './functions';

export interface InvokerOptions {
  client: Pick<LambdaClient, 'send'>;
  /** Null: no port is set for callbacks. */
  callbacks: Callbacks | null;
  /** How long a throttled job rests, at least; up to twice as long. */
  throttleDelayMs: number;
}

/** What the function is told beside its arguments. */
interface JobEvent {
  jobId: string;
  type: string;
  attempt: number;
  maxAttempts: number;
  userId: string | null;
  tags: readonly string[];
  metadata: Readonly<Record<string, unknown>> | null;
  lastCheckpoint: unknown;
  timeRemainingMs: number;
  callbackUrl?: string;
}

const TIMEOUT_IS_FRESH_MS = 300_000;
/** Nothing was carried out, and later it may be. */
const THROTTLED = [
  ...['TooManyRequestsException', 'ThrottlingException', 'EC2ThrottledException', 'ENILimitReachedException'],
  ...['ResourceNotReadyException', 'ResourceConflictException', 'SubnetIPAddressLimitReachedException'],
];
/** The call itself is wrong, and will be the next time. */
const FINAL = ['RequestTooLargeException', 'InvalidRequestContentException', 'UnsupportedMediaTypeException'];
/** Fits into the header that carries it, with room for what Lambda adds. */
const MOST_CONTEXT_BYTES = 3500;

/** Invokes functions as jobs. */
export class Invoker {
  /** Timeouts of functions, which change only when one is deployed. */
  private readonly timeouts = new Map<string, { readAtMs: number; timeoutMs: number | null }>();

  constructor(private readonly options: InvokerOptions) {}

  /**
   * @throws {SnoozeError} when Lambda throttles: no attempt is lost
   * @throws {NonRetryableError} for errors that another try will not change
   */
  async run(fn: LambdaFunction, args: unknown, job: JobContext): Promise<unknown> {
    await this.requireTime(fn, job);
    return fn.mode === 'callback' ? this.callAndWait(fn, args, job) : this.call(fn, args, job);
  }

  /** A function that outlives its attempt would run beside the next one. */
  private async requireTime(fn: LambdaFunction, job: JobContext): Promise<void> {
    const timeoutMs = await this.timeoutOf(fn, job.signal);
    const allowedMs = job.timeRemainingMs();
    // What was spent since the attempt began is left to it.
    const spentMs = 5000;
    if (timeoutMs !== null && timeoutMs > allowedMs + spentMs)
      throw new NonRetryableError(
        `${fn.function} may run for ${timeoutMs} ms, and the job for about ${Math.round(allowedMs)} ms: raise the job's timeoutMs, or lower the function's timeout`,
        { code: 'lambda_outlives_job' },
      );
  }

  /** Null: not known, as the bridge may not read it. */
  private async timeoutOf(fn: LambdaFunction, signal: AbortSignal): Promise<number | null> {
    const name = `${fn.function}:${fn.qualifier ?? ''}`;
    const known = this.timeouts.get(name);
    if (known !== undefined && performance.now() - known.readAtMs < TIMEOUT_IS_FRESH_MS) return known.timeoutMs;
    const command = new GetFunctionConfigurationCommand({
      ...{ FunctionName: fn.function, ...(fn.qualifier !== undefined && { Qualifier: fn.qualifier }) },
    });
    const timeoutMs = await this.options.client.send(command, { abortSignal: signal }).then(
      ({ Timeout }) => (Timeout === undefined ? null : Timeout * 1000),
      () => null,
    );
    this.timeouts.set(name, { readAtMs: performance.now(), timeoutMs });
    return timeoutMs;
  }

  private async call(fn: LambdaFunction, args: unknown, job: JobContext): Promise<unknown> {
    const told = toldOf(job);
    const { FunctionError, Payload } = await this.invoke(fn, job, {
      InvocationType: 'RequestResponse',
      Payload: JSON.stringify(fn.event === 'job' ? { baton: told, arguments: args } : args),
      ...(fn.event === 'arguments' && { ClientContext: contextOf(told) }),
    });
    const text = Payload === undefined ? '' : Buffer.from(Payload).toString('utf8');
    if (FunctionError !== undefined) throw functionError(fn, text);
    return text === '' ? null : (JSON.parse(text) as unknown);
  }

  private async callAndWait(fn: LambdaFunction, args: unknown, job: JobContext): Promise<unknown> {
    const { callbacks } = this.options;
    if (callbacks === null)
      throw new NonRetryableError('the bridge has no LAMBDA_CALLBACK_PORT', { code: 'lambda_no_callbacks' });
    const callback = callbacks.expect(job);
    try {
      const event = { baton: { ...toldOf(job), callbackUrl: callback.url }, arguments: args };
      await this.invoke(fn, job, { InvocationType: 'Event', Payload: JSON.stringify(event) });
      return await callback.result;
    } finally {
      callback.forget();
    }
  }

  private async invoke(
    fn: LambdaFunction,
    { signal }: JobContext,
    input: { InvocationType: 'RequestResponse' | 'Event'; Payload: string; ClientContext?: string },
  ) {
    const target = { FunctionName: fn.function, ...(fn.qualifier !== undefined && { Qualifier: fn.qualifier }) };
    try {
      return await this.options.client.send(new InvokeCommand({ ...target, ...input }), { abortSignal: signal });
    } catch (error) {
      if (signal.aborted) throw signal.reason;
      throw this.callError(fn, error as Error & { retryAfterSeconds?: string });
    }
  }

  private callError({ function: name }: LambdaFunction, error: Error & { retryAfterSeconds?: string }): Error {
    if (THROTTLED.includes(error.name)) {
      const askedMs = Number(error.retryAfterSeconds ?? 0) * 1000;
      const ownMs = this.options.throttleDelayMs * (1 + Math.random());
      return new SnoozeError(Math.round(Math.max(ownMs, Number.isNaN(askedMs) ? 0 : askedMs)), `${name} is throttled`);
    }
    const message = `${name} could not be invoked: ${error.message}`;
    if (FINAL.includes(error.name)) return new NonRetryableError(message, { code: error.name, cause: error });
    return Object.assign(new Error(message, { cause: error }), { code: error.name });
  }
}

function toldOf(job: JobContext): JobEvent {
  const { id: jobId, type, attempt, maxAttempts, userId, tags, metadata, lastCheckpoint } = job;
  const timeRemainingMs = Math.round(job.timeRemainingMs());
  return { jobId, type, attempt, maxAttempts, userId, tags, metadata, lastCheckpoint, timeRemainingMs };
}

/** For `context.clientContext` of the function; without what is too large for it. */
function contextOf(told: JobEvent): string {
  const encode = (baton: object): string => Buffer.from(JSON.stringify({ custom: { baton } })).toString('base64');
  const full = encode(told);
  if (full.length <= MOST_CONTEXT_BYTES) return full;
  const { metadata: _metadata, lastCheckpoint: _checkpoint, tags: _tags, ...small } = told;
  return encode(small);
}

/** How the function failed, as Lambda tells it: `{errorType, errorMessage, trace}`. */
function functionError({ function: name, finalErrors }: LambdaFunction, text: string): Error {
  const { errorType = 'FunctionError', errorMessage = text, trace } = described(text);
  if (finalErrors.includes(errorType) || errorType === 'NonRetryableError')
    return new NonRetryableError(errorMessage, { code: errorType });
  const isTimeout = errorType === 'Sandbox.Timedout' || /Task timed out after/.test(errorMessage);
  const error = Object.assign(new Error(errorMessage), { code: isTimeout ? 'lambda_timed_out' : errorType });
  if (Array.isArray(trace)) error.stack = [`${name}: ${errorType}: ${errorMessage}`, ...trace.map(String)].join('\n');
  return error;
}

function described(text: string): { errorType?: string; errorMessage?: string; trace?: unknown } {
  try {
    const value = JSON.parse(text) as { errorType?: unknown; errorMessage?: unknown; trace?: unknown } | null;
    return {
      ...(typeof value?.errorType === 'string' && { errorType: value.errorType }),
      ...(typeof value?.errorMessage === 'string' && { errorMessage: value.errorMessage }),
      trace: value?.trace,
    };
  } catch {
    return {};
  }
}
