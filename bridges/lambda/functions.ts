import { readFileSync } from 'node:fs';
import { SettingsError } from '@baton/runner-kit';
import { z } from 'zod';

const lambdaFunction = z.strictObject({
  about: z.string().optional(),
  /** Its name or ARN. */
  function: z.string().min(1),
  /** A version or an alias. */
  qualifier: z.string().optional(),
  /** `wait`: the answer is the result. `callback`: the function calls back when it is done. */
  mode: z.enum(['wait', 'callback']).default('wait'),
  /** What the function gets as its event: the job's arguments, or the job with them. */
  event: z.enum(['arguments', 'job']).default('arguments'),
  /** Types of its errors after which the job is not tried again. */
  finalErrors: z.array(z.string()).default([]),
});
export type LambdaFunction = z.output<typeof lambdaFunction>;

const file = z.strictObject({
  functions: z.record(z.string().regex(/^[A-Za-z0-9_][\w.:/-]{0,199}$/, 'must be a job type'), lambdaFunction),
});

/**
 * The functions by job type.
 * @throws {SettingsError} for a file that cannot be used
 */
export function readFunctions(path: string): Map<string, LambdaFunction> {
  let value: unknown;
  try {
    value = JSON.parse(readFileSync(path, 'utf8'));
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new SettingsError(`LAMBDA_FUNCTIONS ${path} is not JSON: ${reason}`);
  }
  const read = file.safeParse(value);
  if (!read.success) {
    const issue = read.error.issues[0];
    throw new SettingsError(`LAMBDA_FUNCTIONS ${path}: ${issue?.path.join('.')} ${issue?.message}`);
  }
  const functions = new Map(Object.entries(read.data.functions));
  if (functions.size === 0) throw new SettingsError(`LAMBDA_FUNCTIONS ${path} names no function`);
  return functions;
}
