import type { AnyEndpoint } from '../../../coordinator/http/core/endpoint';
import { describe } from '../../../coordinator/http/docs/openapi';
import { ENDPOINTS } from '../../../coordinator/http/server';

interface Schema {
  $ref?: string;
  properties?: Record<string, Schema>;
  items?: Schema;
  additionalProperties?: Schema | boolean;
  anyOf?: Schema[];
  oneOf?: Schema[];
  allOf?: Schema[];
}

interface Operation {
  parameters: { name: string; in: string }[];
  requestBody?: { content: { 'application/json': { schema: Schema } } };
}

interface Document {
  paths: Record<string, Record<string, Operation>>;
  components: { schemas: Record<string, Schema> };
}

/** Names of fields that name something: an id, a key, a token. */
const NAMES_SOMETHING = /^(id|ids|key|token|target|fingerprint|dependsOn)$|(Id|Ids|Key|Token)$/;

const document = describe(ENDPOINTS) as unknown as Document;

/**
 * Every field of a route's request that names something, as its own declaration says: `path id`, `body jobs.jobId`, …
 */
export function namingFields({ method, path }: Pick<AnyEndpoint, 'method' | 'path'>): string[] {
  const operation = document.paths[path.replace(/:(\w+)/g, '{$1}')]?.[method];
  if (operation === undefined) throw new Error(`the OpenAPI document does not know ${method} ${path}`);
  const parameters = operation.parameters.filter(
    (one) => one.in === 'path' || (one.in === 'query' && NAMES_SOMETHING.test(one.name)),
  );
  const inBody =
    operation.requestBody === undefined ? [] : walk(operation.requestBody.content['application/json'].schema, [], []);
  return [...parameters.map((one) => `${one.in} ${one.name}`), ...new Set(inBody.map((field) => `body ${field}`))];
}

/** Every field that a route's body may have, and what is in those that are objects, as its own declaration says. */
export function bodyFields({ method, path }: Pick<AnyEndpoint, 'method' | 'path'>): string[][] {
  const body = document.paths[path.replace(/:(\w+)/g, '{$1}')]?.[method]?.requestBody;
  return body === undefined ? [] : within(body.content['application/json'].schema, [], []);
}

function within(schema: Schema, at: string[], seen: string[]): string[][] {
  const name = schema.$ref?.split('/').at(-1) ?? '';
  const named = document.components.schemas[name];
  if (named !== undefined) return seen.includes(name) ? [] : within(named, at, [...seen, name]);
  const parts = [...(schema.anyOf ?? []), ...(schema.oneOf ?? []), ...(schema.allOf ?? [])].flatMap((part) =>
    within(part, at, seen),
  );
  return [
    ...parts,
    ...Object.entries(schema.properties ?? {}).flatMap(([field, property]) => [
      [...at, field],
      ...within(property, [...at, field], seen),
    ]),
  ];
}

function walk(schema: Schema, at: string[], seen: string[]): string[] {
  if (schema.$ref !== undefined) {
    const name = schema.$ref.split('/').at(-1) ?? '';
    const named = document.components.schemas[name];
    return named === undefined || seen.includes(name) ? [] : walk(named, at, [...seen, name]);
  }
  const parts = [
    ...(schema.anyOf ?? []),
    ...(schema.oneOf ?? []),
    ...(schema.allOf ?? []),
    ...(schema.items === undefined ? [] : [schema.items]),
  ];
  if (typeof schema.additionalProperties === 'object') parts.push(schema.additionalProperties);
  const own = Object.entries(schema.properties ?? {}).flatMap(([name, property]) => [
    ...(NAMES_SOMETHING.test(name) ? [[...at, name].join('.')] : []),
    ...walk(property, [...at, name], seen),
  ]);
  return [...parts.flatMap((part) => walk(part, at, seen)), ...own];
}
