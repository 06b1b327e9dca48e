import { createServer, type IncomingMessage, type Server, type ServerOptions, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import express, { type Request, type Response } from 'express';
import { BatonError } from '../errors';
import { analyticsEndpoints } from './analytics';
import { begin, refuse, serve } from './answer';
import { alertEndpoints } from './alerts';
import { apiKeyEndpoints } from './api-keys';
import { attemptEndpoints } from './attempts';
import { auditEndpoints } from './audit';
import { securityHeaders } from './browser';
import { bulkEndpoints } from './bulk';
import { callbackEndpoints } from './callbacks';
import { capSockets } from './caps';
import { cleanupEndpoints } from './cleanup';
import { deadLetterEndpoints } from './dead-letters';
import type { Desk } from './desk';
import type { AnyEndpoint } from './endpoint';
import { eventEndpoints } from './events';
import { healthEndpoints } from './health';
import { jobEndpoints } from './jobs';
import { metricsEndpoints } from './metrics';
import { documentationEndpoints } from './openapi';
import { queueEndpoints } from './queues';
import { rateLimitEndpoints } from './rate-limits';
import { runnerEndpoints } from './runners';
import { sessionEndpoints } from './session';
import { webhookEndpoints } from './webhooks';

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
  ...webhookEndpoints,
  ...callbackEndpoints,
  ...alertEndpoints,
  ...apiKeyEndpoints,
  ...sessionEndpoints,
  ...auditEndpoints,
  ...analyticsEndpoints,
  ...healthEndpoints,
  ...metricsEndpoints,
];

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

/**
 * The API as a server. Calls of a fixed path go straight to their endpoint: Express's router and middleware would take
 * half as much time as a create. Express has all others, whatever is in their paths.
 */
export function createHttpServer(desk: Desk): Server {
  const app = expressApp(desk);
  const fixed = new Map(ENDPOINTS.filter(({ path }) => !path.includes(':')).map((endpoint) => [`${endpoint.method.toUpperCase()} ${endpoint.path}`, endpoint]));
  const everyAnswer = securityHeaders(desk.access.tls !== null);
  const listener = (incoming: IncomingMessage, outgoing: ServerResponse): void => {
    const endpoint = fixed.get(`${incoming.method} ${incoming.url}`);
    if (endpoint === undefined) return void app(incoming, outgoing);
    const { request, response } = dressed(app, incoming, outgoing);
    try {
      if (!begin(desk, request, response, everyAnswer)) void serve(endpoint, desk, request, response);
    } catch (error) {
      refuse(desk, response, error);
    }
  };
  const server = desk.access.tls === null ? createServer(TIMES, listener) : createTlsServer({ ...TIMES, ...desk.access.tls, minVersion: 'TLSv1.2' }, listener);
  server.maxRequestsPerSocket = MOST_REQUESTS_PER_SOCKET;
  server.on('clientError', (_error, socket) => socket.destroy());
  capSockets(server, desk.access);
  return server;
}

function expressApp(desk: Desk): express.Express {
  const app = express();
  app.disable('x-powered-by');
  app.disable('etag');
  app.set('query parser', 'simple');
  app.set('trust proxy', typeof desk.access.trustProxy === 'number' ? desk.access.trustProxy : [...desk.access.trustProxy]);
  const everyAnswer = securityHeaders(desk.access.tls !== null);
  app.use((request, response, next) => {
    if (!begin(desk, request, response, everyAnswer)) next();
  });
  for (const endpoint of [...ENDPOINTS, ...documentationEndpoints(ENDPOINTS)]) {
    app[endpoint.method](endpoint.path, (request, response) => void serve(endpoint, desk, request, response));
  }
  app.use((request, response) => refuse(desk, response, noRoute(request)));
  // Express tells an error handler by its four parameters.
  app.use((error: unknown, _request: Request, response: Response, _next: express.NextFunction) => refuse(desk, response, error));
  return app;
}

/** As Express itself makes requests and responses know what it adds to them. */
function dressed(app: express.Express, incoming: IncomingMessage, outgoing: ServerResponse): { request: Request; response: Response } {
  const request = Object.setPrototypeOf(incoming, app.request) as Request;
  const response = Object.setPrototypeOf(outgoing, app.response) as Response;
  request.res = response;
  response.locals = {};
  return { request, response };
}

function noRoute(request: Request): BatonError {
  return new BatonError('not_found', `There is no ${request.method} ${request.path.slice(0, 200)}. GET /docs shows what there is, and /openapi.json lists it.`);
}
