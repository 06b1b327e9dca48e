import * as protocol from '@baton/runner-sdk/protocol';
import { z } from 'zod';
import { ERRORS } from '../../errors';
import { type AnyEndpoint, endpoint, EVENT_STREAM, replyText, RUNNERS } from '../core/endpoint';
import { toJson } from '../core/json';
import { type Document, Schemas } from './openapi-schemas';
import { tagOf, tagsOf } from './openapi-tags';
import { operationId } from './operation-ids';
import { addExamples } from './openapi-examples';
import { referenceEndpoints } from './reference';
import { type ApiDocument, nameOf, type Schema } from './document';

const DESCRIPTION = `Baton is a job queue over HTTP. Applications create jobs; runners on any host claim them, extend their leases with heartbeats, and report the outcome.

- Requests and answers are JSON in UTF-8. Times are ISO 8601 in UTC, durations are whole milliseconds in fields that end in \`Ms\`, ids are UUIDs.
- Send an API key as \`Authorization: Bearer <key>\`. What it may do depends on its role; every operation names the roles that may call it.
- A create with an \`Idempotency-Key\` can be repeated without creating a second job.
- Lists take \`limit\` and \`cursor\`, and answer with \`items\` and \`nextCursor\`.
- Every error is a problem document (RFC 9457) with a stable \`code\`. \`429\` and \`503\` carry \`Retry-After\` in seconds.
- Answers may gain fields at any time: ignore those you do not know.`;
const REQUEST_ID =
  "The caller's `X-Request-Id` if it sent a valid one, else a new one. The coordinator's log lines of the call carry it.";
const PROTOCOL =
  'The versions of the runner protocol that the coordinator speaks: one number, or a range such as `1-3`.';
const SENT_PROTOCOL =
  'The version of the protocol that the runner speaks; absent: 1. One that the coordinator does not speak is refused with `unsupported_protocol`.';
const RETRY_AFTER = 'Seconds to wait before the same call may succeed. Every 429 and 503 carries it.';

/** What tells of these endpoints, and of itself: the OpenAPI document, and the same for people. */
export function documentationEndpoints(endpoints: readonly AnyEndpoint[]): AnyEndpoint[] {
  let document: Document | undefined;
  let texts: [string, string] | undefined;
  const read = (): Document => (document ??= describe([...endpoints, ...own]));
  // Anybody may ask for it, so it is written once: all that differs between answers is the server.
  const around = (): [string, string] => {
    if (texts !== undefined) return texts;
    const [before = '', after = ''] = toJson({ ...read(), servers: [PLACE] }).split(`"${PLACE}"`);
    return (texts = [before, after]);
  };
  const own: AnyEndpoint[] = [
    endpoint({
      method: 'get',
      path: '/openapi.json',
      summary: 'Read the OpenAPI document',
      roles: 'public',
      replies: { 200: z.record(z.string(), z.unknown()) },
      run: async ({ header, isSecure }) => {
        const [before, after] = around();
        return Promise.resolve(replyText(200, before + toJson(serverAt(header('host'), isSecure)) + after));
      },
    }),
    ...referenceEndpoints(read),
  ];
  return own;
}

/** Stands in the written document where the server belongs. */
const PLACE = 'the server of this answer';

/** Generators that were given the document's address find the server in it. */
function serverAt(host: string | undefined, isSecure: boolean): Document {
  const origin = `${isSecure ? 'https' : 'http'}://${host}`;
  return { url: URL.canParse(origin) ? new URL(origin).origin : '/', description: 'This coordinator.' };
}

/** OpenAPI 3.1 of the endpoints, from what they declare. */
export function describe(endpoints: readonly AnyEndpoint[]): Document {
  let twofold = new Set<string>();
  for (;;) {
    const schemas = new Schemas(twofold);
    const document = describeWith(schemas, endpoints);
    const unlike = schemas.unlike();
    // What refers to a shape that stands twice, and is sent and answered, stands twice too.
    if ([...unlike].every((name) => twofold.has(name))) {
      const api = document as unknown as ApiDocument;
      addMappings(api.components.schemas);
      addExamples(api);
      return document;
    }
    twofold = new Set([...twofold, ...unlike]);
  }
}

/** Says which shape a discriminating value stands for; without it, generators take the shape's name for the value. */
function addMappings(shapes: Record<string, Schema>): void {
  const named = new Map(Object.entries(shapes));
  for (const { discriminator, oneOf = [] } of Object.values(shapes)) {
    if (discriminator === undefined) continue;
    const { propertyName } = discriminator;
    discriminator.mapping = Object.fromEntries(
      oneOf.map((kind) => {
        const { properties = {} } = named.get(nameOf(kind) ?? '') ?? {};
        const value = new Map(Object.entries(properties)).get(propertyName);
        return [String(value?.const), kind.$ref ?? ''];
      }),
    );
  }
}

function describeWith(schemas: Schemas, endpoints: readonly AnyEndpoint[]): Document {
  const paths = new Map<string, Record<string, Document>>();
  for (const one of endpoints) {
    const path = one.path.replace(/:(\w+)/g, '{$1}');
    paths.set(path, { ...paths.get(path), [one.method]: operation(one, schemas) });
  }
  return {
    openapi: '3.1.0',
    info: {
      title: 'Baton',
      version: '1',
      description: DESCRIPTION,
      license: { name: 'MIT', identifier: 'MIT' },
    },
    servers: [{ url: 'http://127.0.0.1:3001', description: 'A coordinator started with `npm start`.' }],
    security: [{ apiKey: [] }, { session: [] }],
    tags: tagsOf(endpoints),
    paths: Object.fromEntries(paths),
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
      schemas: { Problem: schemas.inline(protocol.problem, 'output'), ...schemas.components() },
      headers: {
        RequestId: { description: REQUEST_ID, required: true, schema: { type: 'string' } },
        Protocol: { description: PROTOCOL, required: true, schema: { type: 'string' } },
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

const EVERYWHERE = {
  'X-Request-Id': { $ref: '#/components/headers/RequestId' },
  'Baton-Protocol': { $ref: '#/components/headers/Protocol' },
};

const WEB_SOCKET = {
  description:
    'A WebSocket, if the request asked for one (`Upgrade: websocket`). Each message is one event as JSON: `{id, event, data}`, with the fields of the server-sent events. Browsers send the session cookie from a page of this coordinator, or offer the subprotocols `baton.v1` and `baton.key.<API key in base64url>`; and resume with `?lastEventId=`.',
  headers: EVERYWHERE,
};

function operation(one: AnyEndpoint, schemas: Schemas): Document {
  return {
    operationId: operationId(one),
    summary: one.summary,
    tags: [tagOf(one)],
    ...(one.roles === 'public' ? { security: [] } : { description: `Roles: ${one.roles.join(', ')}.` }),
    parameters: [
      ...parameters(one.params, 'path', one.path, schemas),
      ...parameters(one.query, 'query', one.path, schemas),
      ...headers(one.headers),
      ...(one.roles === RUNNERS ? headers({ 'Baton-Protocol': SENT_PROTOCOL }) : []),
    ],
    ...(one.body === undefined
      ? {}
      : { requestBody: { required: !one.body.safeParse({}).success, content: json(schemas.sent(one.body)) } }),
    responses: {
      ...(one.produces === EVENT_STREAM ? { 101: WEB_SOCKET } : {}),
      ...Object.fromEntries(
        Object.entries(one.replies).map(([status, schema]) => [status, answer(Number(status), schema, one, schemas)]),
      ),
      '4XX': { $ref: '#/components/responses/Problem' },
      '5XX': { $ref: '#/components/responses/Problem' },
    },
  };
}

function answer(
  status: number,
  schema: z.ZodType,
  { produces = 'application/json', replyHeaders = {}, hasPage = false }: AnyEndpoint,
  schemas: Schemas,
): Document {
  const described = Object.entries(replyHeaders).map(([name, description]): [string, Document] => [
    name,
    { description, schema: { type: 'string' } },
  ]);
  const headers: Document = { ...EVERYWHERE, ...Object.fromEntries(described) };
  if (status === 204) return { description: 'Done. There is no body.', headers };
  return {
    description: status < 300 ? 'Done.' : 'Not now.',
    headers,
    content: {
      [produces]: { schema: schemas.of(schema, 'output') },
      ...(hasPage ? { 'text/html': { schema: { type: 'string' } } } : {}),
    },
  };
}

function json(schema: Document): Document {
  return { 'application/json': { schema } };
}

function parameters(
  schema: AnyEndpoint['params'],
  where: 'path' | 'query',
  path: string,
  schemas: Schemas,
): Document[] {
  if (schema === undefined) return [];
  const { properties = {}, required = [] } = schemas.inline(schema, 'input') as {
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

function reference(name: string): Document {
  return { $ref: `#/components/schemas/${name}` };
}
