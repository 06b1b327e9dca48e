import { errorCode, problem } from '@baton/runner-sdk/protocol';
import { z } from 'zod';
import { ERRORS } from '../errors';
import { type AnyEndpoint, endpoint, reply } from './endpoint';

type Document = Record<string, unknown>;

/** The OpenAPI document of these endpoints and of the one that serves it. */
export function openapiEndpoint(endpoints: readonly AnyEndpoint[]): AnyEndpoint {
  const served: AnyEndpoint = endpoint({
    method: 'get',
    path: '/openapi.json',
    summary: 'Read this document',
    roles: 'public',
    replies: { 200: z.record(z.string(), z.unknown()) },
    run: async () => Promise.resolve(reply(200, (document ??= describe([...endpoints, served])))),
  });
  let document: Document | undefined;
  return served;
}

/** OpenAPI 3.1 of the endpoints, from what they declare. */
export function describe(endpoints: readonly AnyEndpoint[]): Document {
  const paths: Record<string, Record<string, Document>> = {};
  for (const one of endpoints) {
    const path = one.path.replace(/:(\w+)/g, '{$1}');
    (paths[path] ??= {})[one.method] = operation(one);
  }
  return {
    openapi: '3.1.0',
    info: { title: 'Baton', version: '1', description: 'Hands work to runners on any host, over plain HTTP, and never drops it.', license: { name: 'MIT', identifier: 'MIT' } },
    servers: [{ url: '/' }],
    security: [{ apiKey: [] }],
    paths,
    components: {
      securitySchemes: { apiKey: { type: 'http', scheme: 'bearer' } },
      schemas: { Problem: schemaOf(problem, 'output') },
      responses: { Problem: { description: Object.entries(ERRORS).map(([code, { status }]) => `${status} ${code}`).join(', '), content: { 'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } } } } },
    },
    'x-error-codes': errorCode.options,
  };
}

function operation(one: AnyEndpoint): Document {
  return {
    operationId: operationId(one),
    summary: one.summary,
    ...(one.roles === 'public' ? { security: [] } : { description: `Roles: ${one.roles.join(', ')}.` }),
    parameters: [...parameters(one.params, 'path'), ...parameters(one.query, 'query'), ...headers(one.headers)],
    ...(one.body === undefined ? {} : { requestBody: { required: true, content: json(schemaOf(one.body, 'input')) } }),
    responses: {
      ...Object.fromEntries(Object.entries(one.replies).map(([status, schema]) => [status, answer(Number(status), schema)])),
      default: { $ref: '#/components/responses/Problem' },
    },
  };
}

function answer(status: number, schema: z.ZodType): Document {
  return status === 204 ? { description: 'Done; there is no body.' } : { description: status < 300 ? 'Done.' : 'Not now.', content: json(schemaOf(schema, 'output')) };
}

function json(schema: Document): Document {
  return { 'application/json': { schema } };
}

function parameters(schema: AnyEndpoint['params'], where: 'path' | 'query'): Document[] {
  if (schema === undefined) return [];
  const { properties = {}, required = [] } = schemaOf(schema, 'input') as { properties?: Record<string, Document>; required?: string[] };
  return Object.entries(properties).map(([name, property]) => ({ name, in: where, required: required.includes(name), schema: property }));
}

function headers(declared: Record<string, string> = {}): Document[] {
  return Object.entries(declared).map(([name, description]) => ({ name, in: 'header', required: false, description, schema: { type: 'string' } }));
}

function schemaOf(schema: z.ZodType, io: 'input' | 'output'): Document {
  const { $schema: _dialect, ...rest } = z.toJSONSchema(schema, { io, unrepresentable: 'any', target: 'draft-2020-12' }) as Document;
  return rest;
}

function operationId({ method, path }: AnyEndpoint): string {
  const words = path.split('/').filter((part) => part !== '').map((part) => (part.startsWith(':') ? `by-${part.slice(1)}` : part));
  return [method, ...words].join('-').replace(/[^\w-]/g, '-');
}
