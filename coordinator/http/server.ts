import { randomUUID } from 'node:crypto';
import { createServer, type Server, type ServerOptions } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import express, { type Request, type Response } from 'express';
import { actorOf } from '../domain/auth/caller';
import { BatonError } from '../errors';
import { analyticsEndpoints } from './analytics';
import { apiKeyEndpoints } from './api-keys';
import { attemptEndpoints } from './attempts';
import { auditEndpoints } from './audit';
import { authenticate } from './authenticate';
import { allowOrigins, guardHost, securityHeaders } from './browser';
import { bulkEndpoints } from './bulk';
import { capSockets } from './caps';
import { cleanupEndpoints } from './cleanup';
import { deadLetterEndpoints } from './dead-letters';
import type { Desk } from './desk';
import type { AnyEndpoint } from './endpoint';
import { eventEndpoints } from './events';
import { healthEndpoints } from './health';
import { jobEndpoints } from './jobs';
import { toJson } from './json';
import { metricsEndpoints } from './metrics';
import { openapiEndpoint } from './openapi';
import { invalid, sendProblem } from './problem';
import { queueEndpoints } from './queues';
import { rateLimitEndpoints } from './rate-limits';
import { runnerEndpoints } from './runners';
import { sessionEndpoints } from './session';

/** The API, in the order in which routes are tried: fixed paths stand before those with parameters. */
export const ENDPOINTS: readonly AnyEndpoint[] = [
  ...attemptEndpoints,
  ...bulkEndpoints,
  ...eventEndpoints,
  ...jobEndpoints,
  ...deadLetterEndpoints,
  ...cleanupEndpoints,
  ...runnerEndpoints,
  ...queueEndpoints,
  ...rateLimitEndpoints,
  ...apiKeyEndpoints,
  ...sessionEndpoints,
  ...auditEndpoints,
  ...analyticsEndpoints,
  ...healthEndpoints,
  ...metricsEndpoints,
];

const MOST_BODY_BYTES = 16 * 1024 * 1024;
const HEADERS_TIMEOUT_MS = 10_000;
const REQUEST_TIMEOUT_MS = 30_000;
const CONNECTION_CHECK_MS = 5000;
const MOST_REQUESTS_PER_SOCKET = 100_000;
/** Longer than load balancers keep idle connections (60 s), so that they, not we, close them first. */
const KEEP_ALIVE_TIMEOUT_MS = 75_000;
const TIMES: ServerOptions = {
  headersTimeout: HEADERS_TIMEOUT_MS,
  requestTimeout: REQUEST_TIMEOUT_MS,
  keepAliveTimeout: KEEP_ALIVE_TIMEOUT_MS,
  connectionsCheckingInterval: CONNECTION_CHECK_MS,
};
const SANE_REQUEST_ID = /^[A-Za-z0-9_.:-]{1,128}$/;

export function createHttpServer(desk: Desk): Server {
  const app = express();
  app.disable('x-powered-by');
  app.disable('etag');
  app.set('query parser', 'simple');
  app.set('trust proxy', typeof desk.access.trustProxy === 'number' ? desk.access.trustProxy : [...desk.access.trustProxy]);
  app.use((request, response, next) => {
    const sent = request.get('x-request-id');
    const requestId = sent !== undefined && SANE_REQUEST_ID.test(sent) ? sent : randomUUID();
    response.locals['requestId'] = requestId;
    response.setHeader('X-Request-Id', requestId);
    if (desk.service.isDraining) response.setHeader('Connection', 'close');
    next();
  });
  app.use(securityHeaders(desk.access.tls !== null), guardHost(desk.access.allowedHosts), allowOrigins(desk.access.corsOrigins));
  const readBody = express.json({ limit: MOST_BODY_BYTES, strict: false, type: () => true });
  for (const endpoint of [...ENDPOINTS, openapiEndpoint(ENDPOINTS)]) mount(app, endpoint, desk, readBody);
  app.use((request, response) => {
    sendProblem(response, noRoute(request), requestIdOf(response), desk.context.log);
  });
  // Express tells an error handler by its four parameters.
  app.use((error: unknown, _request: Request, response: Response, _next: express.NextFunction) => {
    sendProblem(response, error, requestIdOf(response), desk.context.log);
  });

  const server = desk.access.tls === null ? createServer(TIMES, app) : createTlsServer({ ...TIMES, ...desk.access.tls, minVersion: 'TLSv1.2' }, app);
  server.maxRequestsPerSocket = MOST_REQUESTS_PER_SOCKET;
  server.on('clientError', (_error, socket) => socket.destroy());
  capSockets(server, desk.access);
  return server;
}

function mount(app: express.Express, endpoint: AnyEndpoint, desk: Desk, readBody: express.RequestHandler): void {
  app[endpoint.method](endpoint.path, (request, response) => {
    const before = performance.now();
    response.once('finish', () => desk.metrics.answered(endpoint.method, endpoint.path, response.statusCode, (performance.now() - before) / 1000));
    void answer(endpoint, desk, readBody, request, response).catch((error: unknown) => {
      sendProblem(response, error, requestIdOf(response), desk.context.log);
    });
  });
}

async function answer(endpoint: AnyEndpoint, desk: Desk, readBody: express.RequestHandler, request: Request, response: Response): Promise<void> {
  // Heard from the start: a client that goes away before its request was read must not be waited for either.
  const gone = new AbortController();
  response.on('close', () => {
    if (!response.writableFinished) gone.abort();
  });
  const { caller, sessionEndsAt } = await authenticate(endpoint, desk.doorman, request);
  const seat = endpoint.roles === 'public' ? null : desk.caps.enter(caller.keyId);
  // Not when the answer is ready, but when it was taken, or cannot be any more.
  response.once('close', () => seat?.leave());
  if (endpoint.body !== undefined) await read(readBody, request, response);
  const reply = await endpoint.run({
    desk,
    caller,
    by: actorOf(caller, { address: request.ip ?? '', requestId: requestIdOf(response) }),
    sessionEndsAt,
    isSecure: request.secure,
    park: () => seat?.park(),
    params: parse(endpoint.params, request.params, 'path'),
    query: parse(endpoint.query, request.query, 'query'),
    body: parse(endpoint.body, request.body, 'body'),
    header: (name) => request.get(name),
    signal: gone.signal,
    recheck: () => authenticate(endpoint, desk.doorman, request),
  });
  if (response.destroyed) return;
  if (desk.service.isDraining) response.setHeader('Connection', 'close');
  response.statusCode = reply.status;
  response.setHeader('Cache-Control', 'no-store');
  for (const [name, value] of Object.entries(reply.headers)) response.setHeader(name, value);
  if (reply.status === 204) return void response.end();
  response.setHeader('Content-Type', `${endpoint.produces ?? 'application/json'}; charset=utf-8`);
  if (reply.send !== undefined) return reply.send(response);
  response.end(toJson(reply.body));
}

/** A call whose body may be left out takes an empty one for `{}`. */
async function read(readBody: express.RequestHandler, request: Request, response: Response): Promise<void> {
  const hasBody = request.get('transfer-encoding') !== undefined || Number(request.get('content-length') ?? 0) > 0;
  if (!hasBody) {
    request.body = {};
    return;
  }
  const type = request.get('content-type') ?? '';
  if (!/^application\/([\w.-]+\+)?json\s*(;|$)/i.test(type)) {
    throw new BatonError('unsupported_media_type', `The body must be JSON, sent with Content-Type: application/json${type === '' ? '' : `, not ${JSON.stringify(type.slice(0, 100))}`}.`);
  }
  await new Promise<void>((resolve, reject) => {
    void readBody(request, response, (error?: unknown) => (error === undefined ? resolve() : reject(error instanceof Error ? error : new Error('the body could not be read'))));
  });
}

function parse(schema: AnyEndpoint['body'], value: unknown, where: string): unknown {
  if (schema === undefined) return undefined;
  const read = schema.safeParse(value);
  if (!read.success) throw invalid(where, read.error);
  return read.data;
}

function noRoute(request: Request): BatonError {
  return new BatonError('not_found', `There is no ${request.method} ${request.path.slice(0, 200)}. GET /openapi.json lists what there is.`);
}

function requestIdOf(response: Response): string {
  return String(response.locals['requestId']);
}
