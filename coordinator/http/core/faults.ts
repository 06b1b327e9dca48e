import type { FieldError } from '@baton/runner-sdk/protocol';
import { closest, distance } from 'fastest-levenshtein';
import { z } from 'zod';

// Describes in words what zod found wrong with a value: what is missing, what is allowed, and what was probably meant.

type Schema = z.core.$ZodType;
type Issue = z.core.$ZodIssue;

/**
 * Lists each fault once, in the order of the schema. Paths are joined with dots.
 * @param field what the value's members are called
 */
export function fieldErrors(schema: Schema, value: unknown, issues: readonly Issue[], field = 'field'): FieldError[] {
  const found = issues.flatMap((issue) => errorsOf(schema, value, issue, field));
  // A misspelt field is not reported as missing as well.
  const misspelt = new Set(found.flatMap(({ meant }) => (meant === null ? [] : [meant])));
  const told = new Set<string>();
  return found.flatMap(({ path, message, isMissing }) => {
    if (told.has(path) || (isMissing && misspelt.has(path))) return [];
    told.add(path);
    return [{ path, message }];
  });
}

/** The entry of `known` that `name` was probably meant to be, or null. */
export function meantBy(name: string, known: readonly string[]): string | null {
  if (known.length === 0 || name.length > MOST_COMPARED) return null;
  const lower = name.toLowerCase();
  const best = closest(
    lower,
    known.map((one) => one.toLowerCase()),
  );
  const found = known.find((one) => one.toLowerCase() === best) ?? null;
  return found !== null && found !== name && distance(lower, best) <= Math.ceil(name.length / 3) ? found : null;
}

const MOST_COMPARED = 100;

interface Fault extends FieldError {
  isMissing: boolean;
  /** For an unknown field: the path of the field that was probably meant. */
  meant: string | null;
}

function errorsOf(schema: Schema, value: unknown, issue: Issue, field: string): Fault[] {
  const path = issue.path.map(String);
  if (issue.code === 'unrecognized_keys') {
    const known = fieldsOf(schemaAt(schema, value, issue.path), valueAt(value, issue.path));
    return issue.keys.map((key) => unknownField([...path, key], known, field));
  }
  if (issue.code === 'invalid_union') {
    const nested = issue.errors.filter((branch) => branch.some((one) => one.path.length > 0));
    const [branch] = nested;
    // Some of several values are wrong: each is reported with its path.
    if (branch !== undefined)
      return branch.flatMap((one) => errorsOf(schema, value, { ...one, path: [...issue.path, ...one.path] }, field));
  }
  const sent = valueAt(value, issue.path);
  const parent = valueAt(value, issue.path.slice(0, -1));
  const isMissing = sent === undefined && path.length > 0 && typeof parent === 'object';
  const rule = ruleOf(schema, value, issue, sent);
  return [{ path: path.join('.'), message: isMissing ? `is missing; it ${rule}` : rule, isMissing, meant: null }];
}

const MOST_LISTED = 12;

function unknownField(path: string[], known: string[], field: string): Fault {
  const meant = meantBy(path.at(-1) ?? '', known);
  const hint =
    meant !== null
      ? `; did you mean ${meant}?`
      : known.length > 0 && known.length <= MOST_LISTED
        ? `, which takes ${known.join(', ')}`
        : '';
  return {
    path: path.join('.'),
    message: `is not a ${field} ${path.length > 1 ? 'here' : 'of this call'}${hint}`,
    isMissing: false,
    meant: meant === null ? null : [...path.slice(0, -1), meant].join('.'),
  };
}

/** What the value must be, beginning with a verb. */
function ruleOf(schema: Schema, value: unknown, issue: Issue, sent: unknown): string {
  if (issue.code === 'invalid_union' && 'options' in issue && Array.isArray(issue.options))
    return `must be ${listed(issue.options.map((one) => JSON.stringify(one)))}`;
  // A message of the schema itself is better than any derived one.
  if (!isZodsOwn(issue.message)) return issue.message;
  const at = schemaAt(schema, value, issue.path);
  const noun = at === null ? null : allowedBy(at, Array.isArray(sent));
  if (noun === null) return `is not valid: ${issue.message.replace(/^Invalid (input: )?/, '')}`;
  const hint = at === null ? null : choicesOf(at);
  const meant = typeof sent === 'string' && hint !== null ? meantBy(sent, hint.map(String)) : null;
  return `must be ${noun}${shown(sent)}${meant === null ? '' : `; did you mean "${meant}"?`}`;
}

function isZodsOwn(message: string): boolean {
  return /^(Invalid|Too (big|small)|Unrecognized)/.test(message);
}

/** The value sent, if it cannot be a secret; otherwise its kind, if that is what is wrong. */
function shown(sent: unknown): string {
  if (sent === undefined) return '';
  if (typeof sent === 'number' || typeof sent === 'boolean' || sent === null) return `, not ${String(sent)}`;
  if (typeof sent === 'string') return sent === '' ? ', not empty text' : '';
  if (typeof sent === 'bigint') return `, not ${String(sent).slice(0, 40)}`;
  if (Array.isArray(sent)) return sent.length === 0 ? ', not an empty list' : ', not a list';
  return typeof sent === 'object' ? ', not an object' : '';
}

function valueAt(value: unknown, path: readonly PropertyKey[]): unknown {
  let at = value;
  for (const part of path) {
    if (typeof at !== 'object' || at === null || !Object.hasOwn(at, part)) return undefined;
    at = (at as Record<PropertyKey, unknown>)[part];
  }
  return at;
}

/** The schema of the value at a path; null if the schema has none. */
function schemaAt(schema: Schema, value: unknown, path: readonly PropertyKey[]): Schema | null {
  const [first, ...rest] = path;
  if (first === undefined) return schema;
  const within = valueAt(value, [first]);
  for (const one of branchesOf(schema, value)) {
    const child = childOf(one, first);
    const found = child === null ? null : schemaAt(child, within, rest);
    if (found !== null) return found;
  }
  return null;
}

function childOf(schema: Schema, key: PropertyKey): Schema | null {
  const name = String(key);
  const { def } = (schema as z.core.$ZodTypes)._zod;
  switch (def.type) {
    case 'object':
      return Object.hasOwn(def.shape, name) ? (def.shape[name] ?? null) : null;
    case 'array':
      return def.element;
    case 'record':
      return def.valueType;
    default:
      return null;
  }
}

function fieldsOf(schema: Schema | null, value: unknown): string[] {
  if (schema === null) return [];
  return branchesOf(schema, value).flatMap((one) => {
    const { def } = (one as z.core.$ZodTypes)._zod;
    return def.type === 'object' ? Object.keys(def.shape) : [];
  });
}

/** The schemas that a value may match, without wrappers such as optional. */
function branchesOf(schema: Schema, value?: unknown): Schema[] {
  const { def } = (schema as z.core.$ZodTypes)._zod;
  switch (def.type) {
    case 'optional':
    case 'nullable':
    case 'default':
    case 'prefault':
    case 'catch':
    case 'readonly':
    case 'nonoptional':
      return branchesOf(def.innerType, value);
    case 'pipe':
      return branchesOf(isTransform(def.in) ? def.out : def.in, value);
    case 'union': {
      const all = def.options.flatMap((option) => branchesOf(option, value));
      const told = 'discriminator' in def ? all.filter((one) => fits(one, String(def.discriminator), value)) : [];
      return told.length > 0 ? told : all;
    }
    default:
      return [schema];
  }
}

function isTransform(schema: Schema): boolean {
  return (schema as z.core.$ZodTypes)._zod.def.type === 'transform';
}

function fits(schema: Schema, discriminator: string, value: unknown): boolean {
  const literal = childOf(schema, discriminator);
  return literal !== null && (literal._zod.values?.has(valueAt(value, [discriminator]) as never) ?? false);
}

/** The allowed values of an enum or literal schema; null for others. */
function choicesOf(schema: Schema): unknown[] | null {
  const choices = branchesOf(schema).flatMap((one) => {
    const { def } = (one as z.core.$ZodTypes)._zod;
    if (def.type === 'enum') return Object.values(def.entries);
    return def.type === 'literal' ? def.values : [];
  });
  return choices.length === 0 ? null : choices;
}

/** What a schema allows, as a noun; null if it cannot be told. */
function allowedBy(schema: Schema, isList: boolean): string | null {
  const told = documents.get(schema) ?? z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' });
  documents.set(schema, told);
  return nounOf(told, isList);
}

/** Created once per schema: a list of a thousand jobs may have as many faults of one kind. */
const documents = new WeakMap<Schema, z.core.JSONSchema.BaseSchema>();

/**
 * @param isList whether a list was sent; where a single value or a list is allowed, only the form that was sent is
 * described
 */
function nounOf(schema: z.core.JSONSchema.BaseSchema, isList: boolean): string | null {
  const { anyOf, oneOf, enum: values, const: literal, type } = schema;
  const branches = anyOf ?? oneOf;
  if (branches !== undefined) {
    const told = branches.filter((branch) => (typeof branch !== 'boolean' && branch.type === 'array') === isList);
    const nouns = (told.length === 0 ? branches : told).map((branch) =>
      typeof branch === 'boolean' ? null : nounOf(branch, isList),
    );
    return nouns.includes(null) ? null : [...new Set(nouns)].join(', or ');
  }
  if (literal !== undefined) return JSON.stringify(literal);
  if (values !== undefined) return listed(values.map((one) => JSON.stringify(one)));
  switch (type) {
    case 'string':
      return `text${range(schema.minLength, schema.maxLength, ' characters')}`;
    case 'integer':
      return `a whole number${range(schema.minimum, schema.maximum, '')}`;
    case 'number':
      return `a number${range(schema.minimum, schema.maximum, '')}`;
    case 'boolean':
      return 'true or false';
    case 'null':
      return 'null';
    case 'array':
      return `a list${range(schema.minItems, schema.maxItems, ' items')}`;
    case 'object':
      return 'an object';
    default:
      return null;
  }
}

/** Bounds outside the safe integers are not mentioned. */
function range(least: number | undefined, most: number | undefined, unit: string): string {
  const from = least !== undefined && least > Number.MIN_SAFE_INTEGER ? least : null;
  const to = most !== undefined && most < Number.MAX_SAFE_INTEGER ? most : null;
  const of = unit === '' ? ' from ' : ' of ';
  if (from !== null && to !== null) return `${of}${from} to ${to}${unit}`;
  if (from !== null) return ` of at least ${from}${unit}`;
  return to === null ? '' : ` of at most ${to}${unit}`;
}

function listed(values: string[]): string {
  return values.length < 2 ? values.join('') : `${values.slice(0, -1).join(', ')} or ${values.at(-1)}`;
}
