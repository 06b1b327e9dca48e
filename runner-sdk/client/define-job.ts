import { BatonError, ConfigurationError } from '../transport/errors';
import { createJob, type CreateJob, type Job, type TypeSchemas } from '../protocol';
import { check, fieldErrorsOf, isSchema, type InputOf, type Schema } from './schema';

/** Defaults of the jobs created from a definition; a create may override each of them. */
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
 * A kind of job: its type, the shapes of its arguments and result, and defaults of its creates. Producers and runners
 * share it. The schemas can be of any library that implements Standard Schema, and describe JSON as it is sent: for a
 * date use `z.coerce.date()`, not `z.date()`.
 */
export interface JobDefinition<Arguments extends Schema = Schema, Result extends Schema = Schema> {
  readonly type: string;
  readonly arguments?: Arguments;
  readonly result?: Result;
  readonly jsonSchemas?: TypeSchemas;
  readonly defaults: JobDefaults;
}

export interface JobDefinitionOptions<Arguments extends Schema, Result extends Schema> extends JobDefaults {
  type: string;
  /** Checked before a job is created, and again before its handler runs. Without it: any JSON. */
  arguments?: Arguments | undefined;
  /** Checked before a result is reported, and again by `client.wait`. Without it: any JSON. */
  result?: Result | undefined;
  /**
   * JSON Schemas (draft 2020-12) of arguments and result, which runners publish. Default: those that the schemas'
   * library gives, as zod 4, ArkType and others do.
   */
  jsonSchemas?: TypeSchemas | undefined;
}

/**
 * Defines a kind of job. Throws `ConfigurationError` when a default is out of range, or a schema is not a Standard
 * Schema.
 */
export function defineJob<Arguments extends Schema = Schema, Result extends Schema = Schema>(
  options: JobDefinitionOptions<Arguments, Result>,
): JobDefinition<Arguments, Result> {
  const { type, arguments: argumentsSchema, result, jsonSchemas, ...defaults } = options;
  const checked = createJob.safeParse({ type, ...defaults });
  if (!checked.success) {
    const faults = fieldErrorsOf(checked.error).map((fault) => `${fault.path}: ${fault.message}`);
    throw new ConfigurationError(`the definition of job ${JSON.stringify(type)} is wrong: ${faults.join('; ')}`);
  }
  assertIsSchema(type, 'arguments', argumentsSchema);
  assertIsSchema(type, 'result', result);
  return Object.freeze({
    type,
    defaults,
    ...(argumentsSchema && { arguments: argumentsSchema }),
    ...(result && { result }),
    ...(jsonSchemas && { jsonSchemas }),
  });
}

function assertIsSchema(type: string, name: string, schema: unknown): void {
  if (schema === undefined || isSchema(schema)) return;
  throw new ConfigurationError(
    `the definition of job ${JSON.stringify(type)} is wrong: ${name} must be a schema of a library that speaks ` +
      'Standard Schema, such as zod 3.25 or later, Valibot 1 or ArkType 2',
  );
}

declare const RESULT: unique symbol;

/** A job whose type carries the types of its arguments and result. */
export type JobOf<Arguments extends Schema = Schema, Result extends Schema = Schema> = Omit<Job, 'arguments'> & {
  readonly arguments: InputOf<Arguments>;
  readonly [RESULT]?: Result;
};

/**
 * Throws `BatonError` with code `invalid_arguments`, naming the type and each fault.
 * @param index index in the list of arguments, if they are one of many
 */
export async function assertArguments(definition: JobDefinition, value: unknown, index?: number): Promise<void> {
  if (definition.arguments === undefined) return;
  const checked = await check(definition.arguments, value);
  if (checked.isValid) return;
  throw new BatonError({
    code: 'invalid_arguments',
    status: 0,
    detail: `the arguments do not fit ${definition.type}; nothing was sent`,
    errors:
      index === undefined
        ? checked.errors
        : checked.errors.map(({ path, message }) => ({ path: path === '' ? `${index}` : `${index}.${path}`, message })),
  });
}
