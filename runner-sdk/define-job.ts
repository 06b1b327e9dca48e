import type { z } from 'zod';
import { BatonError, ConfigurationError } from './errors';
import { createJob, type CreateJob, type FieldError, type Job } from './protocol';

/** Settings a definition gives to each job created from it; a create may overrule any of them. */
export type JobDefaults = Pick<
  CreateJob,
  | 'queue'
  | 'priority'
  | 'timeoutMs'
  | 'maxAttempts'
  | 'retry'
  | 'requires'
  | 'prefers'
  | 'tags'
  | 'metadata'
  | 'concurrencyKey'
  | 'orderKey'
  | 'orderOnFailure'
>;

/**
 * A kind of job: its type, the shape of its arguments and of its result, and the defaults of its creates. Producers and
 * runners share it. The schemas describe JSON as it travels: for a date take `z.coerce.date()`, not `z.date()`.
 */
export interface JobDefinition<Arguments extends z.ZodType = z.ZodType, Result extends z.ZodType = z.ZodType> {
  readonly type: string;
  readonly arguments?: Arguments;
  readonly result?: Result;
  readonly defaults: JobDefaults;
}

export interface JobDefinitionOptions<Arguments extends z.ZodType, Result extends z.ZodType> extends JobDefaults {
  type: string;
  /** Checked before a job is created, and again before its handler runs. Without it: any JSON. */
  arguments?: Arguments;
  /** Checked before a result is reported, and again by `client.wait`. Without it: any JSON. */
  result?: Result;
}

/** Defines a kind of job. Throws `ConfigurationError` when a default is out of range. */
export function defineJob<Arguments extends z.ZodType = z.ZodUnknown, Result extends z.ZodType = z.ZodUnknown>(
  options: JobDefinitionOptions<Arguments, Result>,
): JobDefinition<Arguments, Result> {
  const { type, arguments: argumentsSchema, result, ...defaults } = options;
  const checked = createJob.safeParse({ type, ...defaults });
  if (!checked.success) {
    const faults = fieldErrorsOf(checked.error).map((fault) => `${fault.path}: ${fault.message}`);
    throw new ConfigurationError(`the definition of job ${JSON.stringify(type)} is wrong: ${faults.join('; ')}`);
  }
  return Object.freeze({
    type,
    defaults,
    ...(argumentsSchema && { arguments: argumentsSchema }),
    ...(result && { result }),
  });
}

declare const RESULT: unique symbol;

/** A job that remembers, for the compiler, what its arguments and its result are. */
export type JobOf<Arguments extends z.ZodType = z.ZodType, Result extends z.ZodType = z.ZodType> = Omit<
  Job,
  'arguments'
> & {
  readonly arguments: z.input<Arguments>;
  readonly [RESULT]?: Result;
};

/** What a value checked against a schema turned out to be. */
export type Checked<T> = { isValid: true; value: T } | { isValid: false; errors: FieldError[] };

/** Checks a value that came as JSON; `null` also stands for "none", since JSON has no undefined. */
export async function check<S extends z.ZodType>(schema: S, value: unknown): Promise<Checked<z.output<S>>> {
  const first = await schema.safeParseAsync(value);
  if (first.success) return { isValid: true, value: first.data };
  const second = value === null ? await schema.safeParseAsync(undefined) : first;
  return second.success
    ? { isValid: true, value: second.data }
    : { isValid: false, errors: fieldErrorsOf(first.error) };
}

/** Throws `BatonError` with code `invalid_arguments`, naming the type and each fault. */
export async function assertArguments(definition: JobDefinition, value: unknown): Promise<void> {
  if (definition.arguments === undefined) return;
  const checked = await check(definition.arguments, value);
  if (checked.isValid) return;
  throw new BatonError({
    code: 'invalid_arguments',
    status: 0,
    detail: `the arguments do not fit ${definition.type}; nothing was sent`,
    errors: checked.errors,
  });
}

export function fieldErrorsOf(error: z.ZodError): FieldError[] {
  return error.issues.map((issue) => ({ path: issue.path.map(String).join('.'), message: issue.message }));
}
