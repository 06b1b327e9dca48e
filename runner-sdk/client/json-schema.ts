import { toJSONSchema, type core } from 'zod';
import type { JsonSchema } from '../protocol';
import type { Schema } from './schema';

const OPTIONS = { io: 'input', unrepresentable: 'any', override: loosen } as const;

/**
 * The JSON Schema (draft 2020-12) of what a schema accepts; undefined: its library has none to give. It never refuses
 * what the schema accepts: what JSON Schema cannot say, such as a refinement or a coercion, is left out.
 */
export function jsonSchemaOf(schema: Schema): JsonSchema | undefined {
  try {
    const { $schema: _dialect, ...json } = isZod(schema) ? toJSONSchema(schema, OPTIONS) : (ofStandard(schema) ?? NONE);
    return Object.keys(json).length === 0 ? undefined : json;
  } catch {
    // A schema that cannot be described still checks.
    return undefined;
  }
}

const NONE: Record<string, unknown> = {};

function isZod(schema: unknown): schema is core.$ZodType {
  return (typeof schema === 'object' || typeof schema === 'function') && schema !== null && '_zod' in schema;
}

/** Libraries that implement Standard JSON Schema. */
function ofStandard(schema: Schema): Record<string, unknown> | undefined {
  const standard = schema['~standard'] as {
    jsonSchema?: { input?: (options: { target: string }) => Record<string, unknown> };
  };
  return standard.jsonSchema?.input?.({ target: 'draft-2020-12' });
}

/** What is coerced, caught or preprocessed accepts more than the type behind it, and may be missing. */
function loosen({
  zodSchema,
  jsonSchema,
}: {
  zodSchema: core.$ZodTypes;
  jsonSchema: core.JSONSchema.BaseSchema;
}): void {
  if (isLoose(zodSchema)) {
    for (const name of Object.keys(jsonSchema)) if (!ANNOTATIONS.has(name)) Reflect.deleteProperty(jsonSchema, name);
    return;
  }
  const { def } = zodSchema._zod;
  if (def.type !== 'object' || jsonSchema.required === undefined) return;
  const shape = new Map<string, core.$ZodType>(Object.entries(def.shape));
  const required = jsonSchema.required.filter((name) => !isLoose(shape.get(name)));
  if (required.length === 0) delete jsonSchema.required;
  else jsonSchema.required = required;
}

const ANNOTATIONS = new Set(['description', 'title', 'examples', 'default', 'deprecated']);

function isLoose(schema: core.$ZodType | undefined): boolean {
  if (schema === undefined) return false;
  const def = schema._zod.def as { type: string; coerce?: boolean; in?: core.$ZodType };
  return (
    def.coerce === true ||
    def.type === 'catch' ||
    def.type === 'custom' ||
    (def.type === 'pipe' && def.in?._zod.def.type === 'transform')
  );
}
