import type { StandardSchemaV1 } from '@standard-schema/spec';
import type { FieldError } from '../protocol';

/** Any schema that implements Standard Schema: zod from 3.25, Valibot, ArkType and others. */
export type Schema<Input = unknown, Output = unknown> = StandardSchemaV1<Input, Output>;
/** What a schema accepts. */
export type InputOf<S extends Schema> = StandardSchemaV1.InferInput<S>;
/** What a schema returns. */
export type OutputOf<S extends Schema> = StandardSchemaV1.InferOutput<S>;

/** The result of checking a value against a schema. */
export type Checked<T> = { isValid: true; value: T } | { isValid: false; errors: FieldError[] };

/** ArkType's schemas are functions. */
export function isSchema(value: unknown): value is Schema {
  if ((typeof value !== 'object' && typeof value !== 'function') || value === null) return false;
  const standard = (value as { '~standard'?: unknown })['~standard'];
  return typeof standard === 'object' && standard !== null && 'validate' in standard;
}

/** Checks a value received as JSON; `null` also stands for "none", since JSON has no undefined. */
export async function check<S extends Schema>(schema: S, value: unknown): Promise<Checked<OutputOf<S>>> {
  const first = await schema['~standard'].validate(value);
  if (first.issues === undefined) return { isValid: true, value: first.value };
  const second = value === null ? await schema['~standard'].validate(undefined) : first;
  return second.issues === undefined
    ? { isValid: true, value: second.value }
    : { isValid: false, errors: fieldErrorsOf(first) };
}

/** Each fault with its path, such as `films.0.title`; zod's own errors have the same shape. */
export function fieldErrorsOf({ issues }: { readonly issues: readonly StandardSchemaV1.Issue[] }): FieldError[] {
  return issues.map(({ path = [], message }) => ({ path: path.map(segmentText).join('.'), message }));
}

function segmentText(segment: PropertyKey | StandardSchemaV1.PathSegment): string {
  return String(typeof segment === 'object' ? segment.key : segment);
}
