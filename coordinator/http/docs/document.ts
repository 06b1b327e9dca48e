/** The parts of a JSON schema that are shown. */
export interface Schema {
  $ref?: string;
  type?: string;
  format?: string;
  description?: string;
  enum?: unknown[];
  const?: unknown;
  default?: unknown;
  examples?: unknown[];
  discriminator?: { propertyName: string; mapping?: Record<string, string> };
  anyOf?: Schema[];
  oneOf?: Schema[];
  properties?: Record<string, Schema>;
  required?: string[];
  additionalProperties?: Schema | boolean;
  items?: Schema;
  minimum?: number;
  maximum?: number;
  minLength?: number;
  maxLength?: number;
  minItems?: number;
  maxItems?: number;
  pattern?: string;
}

export interface Parameter {
  name: string;
  in: 'path' | 'query' | 'header';
  required: boolean;
  description?: string;
  schema: Schema;
  example?: unknown;
}

interface Content {
  content?: Record<string, { schema: Schema; example?: unknown }>;
}

export interface Operation {
  operationId: string;
  summary: string;
  description?: string;
  tags: string[];
  security?: object[];
  parameters: Parameter[];
  requestBody?: Content & { required: boolean };
  responses: Record<string, Content & { description?: string; headers?: Record<string, { description?: string }> }>;
}

/** The parts of the OpenAPI document that are shown. */
export interface ApiDocument {
  info: { title: string; version: string; description: string };
  tags: { name: string; description: string }[];
  paths: Record<string, Record<string, Operation>>;
  components: { schemas: Record<string, Schema> };
}

/** Undefined where the document has no such shape. */
export function schemaNamed(
  name: string,
  { components: { schemas } }: Pick<ApiDocument, 'components'>,
): Schema | undefined {
  return Object.hasOwn(schemas, name) ? schemas[name] : undefined;
}

export interface Route extends Operation {
  method: string;
  path: string;
}

/** In reading order: operations on all, on one, and on many. */
export function routesOf(document: ApiDocument): Route[] {
  const routes = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ method, path, ...operation })),
  );
  return routes.sort((one, other) => rankOf(one.path) - rankOf(other.path));
}

function rankOf(path: string): number {
  const [, , second, third] = path.split('/');
  if (second === undefined || path === '/jobs/claim') return 0;
  if (!second.startsWith('{')) return 3;
  return third === undefined ? 1 : 2;
}

/** Status, media type and schema of each successful answer. */
export function answersOf({
  responses,
}: Operation): { status: string; type: string | null; schema: Schema | null; headers: [string, string][] }[] {
  return Object.entries(responses)
    .filter(([status]) => !status.endsWith('XX'))
    .map(([status, { content = {}, headers = {} }]) => {
      const [type, media] = Object.entries(content)[0] ?? [null, null];
      const own = Object.entries(headers).flatMap(([name, { description }]): [string, string][] =>
        description === undefined ? [] : [[name, description]],
      );
      return { status, type, schema: media?.schema ?? null, headers: own };
    });
}

export function bodyOf({ requestBody }: Operation): Schema | null {
  return Object.values(requestBody?.content ?? {})[0]?.schema ?? null;
}

export function nameOf({ $ref }: Schema): string | null {
  return $ref === undefined ? null : $ref.slice($ref.lastIndexOf('/') + 1);
}
