import type { FieldError, JsonSchema } from '@baton/runner-sdk/protocol';
import type { Context } from '../../context';
import { BatonError } from '../../errors';
import type { SchemaRow } from '../../store/job-types/schemas';
import { isReference } from '../objects/references';
import { type Check, judge } from './validator';

/** A job, by what decides whether its arguments fit. */
export interface Fitting {
  queue: string;
  type: string;
  /** Undefined: `{}`. */
  arguments?: unknown;
}

/**
 * Refuses arguments that fit no schema in force of their type, for queues that check them. A type without schemas takes
 * anything, and what is kept in an object store is judged by the runner. Schemas are read again before anything is
 * refused, so that what a runner has just published counts.
 */
export async function refuseUnfit<Job>(
  context: Context,
  jobs: readonly Job[],
  read: (job: Job) => Fitting,
): Promise<Map<Job, BatonError>> {
  const refused = new Map<Job, BatonError>();
  const checked = jobs.filter((job) => {
    const { queue, arguments: value } = read(job);
    return context.queueSettings.checksArguments(queue) && !isReference(value);
  });
  if (checked.length === 0) return refused;
  const seeming = await unfit(context, checked, read, false);
  if (seeming.size === 0) return refused;
  const certain = await unfit(context, [...seeming.keys()], read, true);
  for (const [job, { schemas, errors }] of certain) refused.set(job, refusal(read(job).type, schemas, errors));
  return refused;
}

/** @throws {BatonError} whose errors name fields below `path` */
export async function requireFitting(context: Context, job: Fitting, path: string): Promise<void> {
  if (!context.queueSettings.checksAny()) return;
  const [refused] = (await refuseUnfit(context, [job], (one) => one)).values();
  if (refused === undefined) return;
  const errors = (refused.errors ?? []).map((error) => ({
    ...error,
    path: `${path}.${error.path}`,
    pointer: `/${path.replaceAll('.', '/')}${error.pointer ?? ''}`,
  }));
  throw new BatonError(refused.code, refused.message, { errors });
}

/** How the job's arguments differ from the schema that they come closest to; null: they fit one, or there is none. */
export async function unfitness(context: Context, job: Fitting): Promise<FieldError[] | null> {
  if (isReference(job.arguments)) return null;
  const [found] = (await unfit(context, [job], (one) => one, true)).values();
  return found?.errors ?? null;
}

async function unfit<Job>(
  context: Context,
  jobs: readonly Job[],
  read: (job: Job) => Fitting,
  isCurrent: boolean,
): Promise<Map<Job, { schemas: number; errors: FieldError[] }>> {
  const inForce = await context.publishedTypes.inForce(
    jobs.map((job) => read(job).type),
    isCurrent,
  );
  const checks = jobs.flatMap((job) =>
    candidatesOf(inForce.get(read(job).type) ?? []).map((check) => ({ job, ...check, value: valueOf(read(job)) })),
  );
  const judged = judge(checks, (hash, why) =>
    context.log.warn('a schema that a runner has published cannot be used; it accepts anything', { hash, why }),
  );
  const found = new Map<Job, { schemas: number; errors: FieldError[] }>();
  const fitting = new Set<Job>();
  checks.forEach(({ job }, index) => {
    const errors = judged[index] ?? null;
    if (errors === null) return void fitting.add(job);
    const before = found.get(job);
    const schemas = (before?.schemas ?? 0) + 1;
    found.set(job, {
      schemas,
      errors: before === undefined || errors.length < before.errors.length ? errors : before.errors,
    });
  });
  for (const job of fitting) found.delete(job);
  return found;
}

/** A schema of a result alone takes any arguments. */
function candidatesOf(rows: readonly SchemaRow[]): Omit<Check, 'value'>[] {
  return rows.map((row) => ({ hash: row.hash, schema: (row.arguments ?? true) as JsonSchema }));
}

function valueOf({ arguments: value }: Fitting): unknown {
  return value === undefined ? {} : value;
}

function refusal(type: string, schemas: number, errors: FieldError[]): BatonError {
  const [first] = errors;
  const which = schemas === 1 ? 'the schema' : `any of the ${schemas} schemas`;
  return new BatonError(
    'invalid_arguments',
    `The arguments do not fit ${which} that runners of ${type} have published: ${first?.path ?? 'arguments'} ${first?.message ?? 'does not fit'}.`,
    { errors },
  );
}
