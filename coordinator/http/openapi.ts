import * as protocol from '@baton/runner-sdk/protocol';
import { z } from 'zod';
import { ERRORS } from '../errors';
import { type AnyEndpoint, endpoint, reply } from './endpoint';
import { tagOf, tagsOf } from './openapi-tags';
import { referenceEndpoints } from './reference';

type Document = Record<string, unknown>;

const REQUEST_ID =
  "The caller's X-Request-Id if it sent a sane one, else a new one; the coordinator's log lines of the call carry it.";
const RETRY_AFTER = 'Seconds to wait before the same call may succeed; stands on every 429 and 503.';

/** Shapes that stand once, under `components`, and are referred to wherever they occur. */
const SENT = {
  CreateJob: protocol.createJob,
  BulkJob: protocol.bulkJob,
  JobFilter: protocol.jobFilter,
  Claim: protocol.claim,
  Heartbeat: protocol.beat,
  Completion: protocol.completion,
  CreateWebhook: protocol.createWebhook,
};
const ANSWERED = {
  Job: protocol.job,
  ClaimedJob: protocol.claimedJob,
  Attempt: protocol.attempt,
  LogLine: protocol.logLine,
  Directives: protocol.directives,
  Runner: protocol.runner,
  ApiKey: protocol.apiKey,
  Webhook: protocol.webhook,
  Delivery: protocol.delivery,
  ItemError: protocol.itemError,
  Problem: protocol.problem,
};
const names = new Map<z.core.$ZodType, string>(
  Object.entries({ ...SENT, ...ANSWERED }).map(([name, schema]) => [schema, name]),
);
// Items that are read one by one, so that one bad item does not take the others with it: to the caller they have a shape.
names.set(protocol.createJobs.shape.jobs.element, 'BulkJob');
names.set(protocol.heartbeats.shape.jobs.element, 'Heartbeat');
names.set(protocol.completions.shape.completions.element, 'Completion');

/** What tells of these endpoints, and of itself: the OpenAPI document, and the same for people. */
export function documentationEndpoints(endpoints: readonly AnyEndpoint[]): AnyEndpoint[] {
  let document: Document | undefined;
  const read = (): Document => (document ??= describe([...endpoints, ...own]));
  const own: AnyEndpoint[] = [
    endpoint({
      method: 'get',
      path: '/openapi.json',
      summary: 'Read this document',
      roles: 'public',
      replies: { 200: z.record(z.string(), z.unknown()) },
      run: async () => Promise.resolve(reply(200, read())),
    }),
    ...referenceEndpoints(read),
  ];
  return own;
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
    info: {
      title: 'Baton',
      version: '1',
      description: 'Hands work to runners on any host, over plain HTTP, and never drops it.',
      license: { name: 'MIT', identifier: 'MIT' },
    },
    servers: [{ url: '/', description: 'The coordinator that serves this document.' }],
    security: [{ apiKey: [] }, { session: [] }],
    tags: tagsOf(endpoints),
    paths,
    components: {
      securitySchemes: {
        apiKey: {
          type: 'http',
          scheme: 'bearer',
          description: 'An API key (`POST /api-keys`) or a JSON Web Token, sent as `Authorization: Bearer <key>`.',
        },
        session: {
          type: 'apiKey',
          in: 'cookie',
          name: 'baton_session',
          description: 'The session cookie of a browser that has signed in with `POST /session`.',
        },
      },
      schemas: { ...schemasOf(SENT, 'input'), ...schemasOf(ANSWERED, 'output') },
      headers: {
        RequestId: { description: REQUEST_ID, required: true, schema: { type: 'string' } },
        RetryAfter: { description: RETRY_AFTER, schema: { type: 'integer', minimum: 1 } },
      },
      responses: {
        Problem: {
          description: Object.entries(ERRORS)
            .map(([code, { status }]) => `${status} ${code}`)
            .join(', '),
          headers: { ...EVERYWHERE, 'Retry-After': { $ref: '#/components/headers/RetryAfter' } },
          content: { 'application/problem+json': { schema: reference('Problem') } },
        },
      },
    },
    'x-error-codes': protocol.errorCode.options,
  };
}

const EVERYWHERE = { 'X-Request-Id': { $ref: '#/components/headers/RequestId' } };

function operation(one: AnyEndpoint): Document {
  return {
    operationId: operationId(one),
    summary: one.summary,
    tags: [tagOf(one)],
    ...(one.roles === 'public' ? { security: [] } : { description: `Roles: ${one.roles.join(', ')}.` }),
    parameters: [
      ...parameters(one.params, 'path', one.path),
      ...parameters(one.query, 'query', one.path),
      ...headers(one.headers),
    ],
    ...(one.body === undefined
      ? {}
      : { requestBody: { required: !one.body.safeParse({}).success, content: json(schemaOf(one.body, 'input')) } }),
    responses: {
      ...Object.fromEntries(
        Object.entries(one.replies).map(([status, schema]) => [status, answer(Number(status), schema, one)]),
      ),
      '4XX': { $ref: '#/components/responses/Problem' },
      '5XX': { $ref: '#/components/responses/Problem' },
    },
  };
}

function answer(
  status: number,
  schema: z.ZodType,
  { produces = 'application/json', replyHeaders = {} }: AnyEndpoint,
): Document {
  const headers: Document = { ...EVERYWHERE };
  for (const [name, description] of Object.entries(replyHeaders))
    headers[name] = { description, schema: { type: 'string' } };
  if (status === 204) return { description: 'Done; there is no body.', headers };
  return {
    description: status < 300 ? 'Done.' : 'Not now.',
    headers,
    content: { [produces]: { schema: schemaOf(schema, 'output') } },
  };
}

function json(schema: Document): Document {
  return { 'application/json': { schema } };
}

function parameters(schema: AnyEndpoint['params'], where: 'path' | 'query', path: string): Document[] {
  if (schema === undefined) return [];
  const { properties = {}, required = [] } = schemaOf(schema, 'input') as {
    properties?: Record<string, Document>;
    required?: string[];
  };
  return Object.entries(properties).map(([name, { description, ...property }]) => ({
    name,
    in: where,
    required: required.includes(name),
    description: description ?? inPath(name, path),
    schema: property,
  }));
}

/** What a parameter of a path is: `id` in `/api-keys/:id` is the id of the api key. */
function inPath(name: string, path: string): string {
  const [, collection = ''] = path.split('/');
  const thing = collection.replaceAll('-', ' ').replace(/s$/, '').replace('api', 'API');
  if (name === 'name') return `Name of the ${thing}.`;
  return name === 'id' ? `Id of the ${thing}.` : `Id of the ${name.replace(/Id$/, '')}.`;
}

function headers(declared: Record<string, string> = {}): Document[] {
  return Object.entries(declared).map(([name, description]) => ({
    name,
    in: 'header',
    required: false,
    description,
    schema: { type: 'string' },
  }));
}

function schemasOf(schemas: Record<string, z.ZodType>, io: 'input' | 'output'): Document {
  return Object.fromEntries(Object.entries(schemas).map(([name, schema]) => [name, toDocument(schema, io)]));
}

function schemaOf(schema: z.ZodType, io: 'input' | 'output'): Document {
  const name = names.get(schema);
  return name === undefined ? toDocument(schema, io) : reference(name);
}

function toDocument(schema: z.ZodType, io: 'input' | 'output'): Document {
  const { $schema: _dialect, ...rest } = z.toJSONSchema(schema, {
    io,
    unrepresentable: 'any',
    target: 'draft-2020-12',
    override({ zodSchema, jsonSchema, path }) {
      const name = path.length === 0 ? undefined : names.get(zodSchema);
      if (name !== undefined) replaceBy(jsonSchema, reference(name));
      else simplify(jsonSchema, io);
    },
  }) as Document;
  return rest;
}

function reference(name: string): Document {
  return { $ref: `#/components/schemas/${name}` };
}

function replaceBy(schema: Document, other: Document): void {
  for (const key of Object.keys(schema)) delete schema[key];
  Object.assign(schema, other);
}

/** Takes away what repeats a format or the nature of JSON numbers, and what would forbid answers to grow new fields. */
function simplify(schema: Document, io: 'input' | 'output'): void {
  if (schema['format'] === 'date-time' || schema['format'] === 'uuid') delete schema['pattern'];
  if (schema['minimum'] === Number.MIN_SAFE_INTEGER) delete schema['minimum'];
  if (schema['maximum'] === Number.MAX_SAFE_INTEGER) delete schema['maximum'];
  if (io === 'output' && schema['additionalProperties'] === false) delete schema['additionalProperties'];
}

function operationId({ method, path }: AnyEndpoint): string {
  const words = path
    .split('/')
    .filter((part) => part !== '')
    .map((part) => (part.startsWith(':') ? `by-${part.slice(1)}` : part));
  return [method, ...words].join('-').replace(/[^\w-]/g, '-');
}
