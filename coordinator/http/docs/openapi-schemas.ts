import * as protocol from '@baton/runner-sdk/protocol';
import { z } from 'zod';

export type Document = Record<string, unknown>;
type Direction = 'input' | 'output';

/** Exports of the protocol whose names are unclear outside it. */
const CLEARER = new Map([
  ['alive', 'Liveness'],
  ['beat', 'JobHeartbeat'],
  ['claim', 'ClaimRequest'],
  ['complete', 'CompleteJob'],
  ['statistics', 'Statistics'],
  ['labels', 'Labels'],
  ['pause', 'QueuePause'],
  ['release', 'ReleaseJob'],
  ['scale', 'QueueScale'],
  ['sentProgress', 'NewProgress'],
  ['sentLogLine', 'NewLogLine'],
]);
const SHAPES = new Set(['object', 'enum', 'union', 'record']);

/** Every export of the protocol has its name under `components`, and is referenced wherever it occurs. */
const names = new Map<z.core.$ZodType, string>();
for (const [name, exported] of Object.entries(protocol)) {
  if (isShape(exported) && !name.endsWith('Query')) names.set(exported, CLEARER.get(name) ?? capital(name));
}
// Items that are parsed one by one, so that a bad item does not fail the others, with the shapes that callers see.
const items = new Map<z.core.$ZodType, z.core.$ZodType>([
  [protocol.createJobs.shape.jobs.element, protocol.bulkJob],
  [protocol.createBatch.shape.jobs.unwrap().element, protocol.batchJob],
  [protocol.addBatchJobs.shape.jobs.element, protocol.batchJob],
  [protocol.createWorkflow.shape.jobs.valueType, protocol.workflowPart],
  [protocol.heartbeats.shape.jobs.element, protocol.beat],
  [protocol.completions.shape.completions.element, protocol.completion],
]);

/**
 * JSON schemas of requests and answers; named ones are collected. A shape whose request differs from its answer,
 * because of defaults, has a separate name for the request.
 */
export class Schemas {
  private readonly collected = new Map<string, { schema: z.core.$ZodType; directions: Set<Direction> }>();

  /** @param twofold names of shapes that have a separate schema for each direction */
  constructor(private readonly twofold: ReadonlySet<string>) {}

  /** A reference, if the schema has a name. */
  of(schema: z.ZodType, direction: Direction): Document {
    const name = names.get(schema);
    return name === undefined ? this.inline(schema, direction) : this.refer(schema, name, direction);
  }

  /** The schema itself, with references to the named schemas inside. */
  inline(schema: z.core.$ZodType, direction: Direction): Document {
    const { $schema: _dialect, ...rest } = z.toJSONSchema(schema, {
      io: direction,
      unrepresentable: 'any',
      target: 'draft-2020-12',
      override: ({ zodSchema, jsonSchema, path }) => {
        const known = items.get(zodSchema) ?? zodSchema;
        const name = path.length === 0 ? undefined : names.get(known);
        if (name !== undefined) replaceBy(jsonSchema, this.refer(known, name, direction));
        else simplify(zodSchema, jsonSchema, direction);
      },
    }) as Document;
    return rest;
  }

  /** The body of a request. */
  sent(schema: z.ZodType): Document {
    const written = this.of(schema, 'input');
    return withoutDefaults(written);
  }

  /** All referenced schemas, by name. */
  components(): Record<string, Document> {
    const made = new Map<string, Document>();
    // A schema that is added here may refer to more.
    for (let known = 0; known < this.references;) {
      known = this.references;
      for (const [name, { schema, directions }] of this.collected)
        for (const direction of directions)
          made.set(this.nameIn(name, direction), withoutDefaults(this.inline(schema, direction)));
    }
    return Object.fromEntries([...made].sort(([one], [other]) => (one < other ? -1 : 1)));
  }

  /** Names of shapes whose requests and answers differ. */
  unlike(): Set<string> {
    const found = [...this.collected].filter(([, { schema, directions }]) => {
      if (directions.size < 2) return false;
      const [sent, answered] = (['input', 'output'] as const).map((direction) => this.inline(schema, direction));
      return JSON.stringify(sent, withoutClosing) !== JSON.stringify(answered, withoutClosing);
    });
    return new Set(found.map(([name]) => name));
  }

  private get references(): number {
    return [...this.collected.values()].reduce((sum, { directions }) => sum + directions.size, 0);
  }

  private refer(schema: z.core.$ZodType, name: string, direction: Direction): Document {
    const known = this.collected.get(name) ?? { schema, directions: new Set() };
    known.directions.add(direction);
    this.collected.set(name, known);
    return { $ref: `#/components/schemas/${this.nameIn(name, direction)}` };
  }

  private nameIn(name: string, direction: Direction): string {
    return direction === 'input' && this.twofold.has(name) ? `${name}Input` : name;
  }
}

function isShape(exported: unknown): exported is z.core.$ZodType {
  if (!(exported instanceof z.core.$ZodType)) return false;
  const { def } = (exported as z.core.$ZodTypes)._zod;
  return def.type === 'catch' ? isShape(def.innerType) : SHAPES.has(def.type);
}

function capital(name: string): string {
  return name.charAt(0).toUpperCase() + name.slice(1);
}

function replaceBy(schema: Document, other: Document): void {
  for (const key of Object.keys(schema)) Reflect.deleteProperty(schema, key);
  Object.assign(schema, other);
}

/**
 * Removes what repeats a format, a reference or the limits of JSON numbers, and what would forbid new fields in
 * answers; adds what zod leaves out beside a reference.
 */
function simplify(zodSchema: z.core.$ZodTypes, schema: Document, direction: Direction): void {
  const { def } = zodSchema._zod;
  if (typeof schema['$ref'] === 'string') {
    const { $ref, description, default: fallback } = schema;
    replaceBy(schema, { $ref, ...(description === undefined ? {} : { description }) });
    if (def.type === 'default') schema['default'] = def.defaultValue;
    else if (fallback !== undefined) schema['default'] = fallback;
  }
  if (def.type === 'union' && 'discriminator' in def)
    schema['discriminator'] = { propertyName: String(def.discriminator) };
  if (schema['format'] === 'date-time' || schema['format'] === 'uuid') delete schema['pattern'];
  if (schema['minimum'] === Number.MIN_SAFE_INTEGER) delete schema['minimum'];
  if (schema['maximum'] === Number.MAX_SAFE_INTEGER) delete schema['maximum'];
  if (direction === 'output' && schema['additionalProperties'] === false) delete schema['additionalProperties'];
}

/** Ignores `additionalProperties` when requests and answers are compared. */
function withoutClosing(key: string, value: unknown): unknown {
  return key === 'additionalProperties' && value === false ? undefined : value;
}

/**
 * Moves defaults into descriptions. Generators treat a field with a `default` as always present, and then require it
 * from their users; and a client that fills in a default would keep it after it has changed.
 */
function withoutDefaults(schema: Document): Document {
  for (const [name, value] of Object.entries((schema['properties'] ?? {}) as Record<string, Document>)) {
    const { default: fallback, description } = value;
    const isRequired = ((schema['required'] ?? []) as string[]).includes(name);
    if (fallback === undefined) continue;
    delete value['default'];
    if (!isRequired) value['description'] = `${String(description)} Default: \`${JSON.stringify(fallback)}\`.`;
  }
  for (const child of Object.values(schema)) {
    if (typeof child === 'object' && child !== null) withoutDefaults(child as Document);
  }
  return schema;
}
