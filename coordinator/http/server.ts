import { createServer, type IncomingMessage, type Server, type ServerOptions, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import express, { type Request, type Response } from 'express';
import { analyticsEndpoints } from './routes/analytics';
import { refuse, serve } from './core/answer';
import { alertEndpoints } from './routes/alerts';
import { apiKeyEndpoints } from './routes/api-keys';
import { objectEndpoints } from './routes/objects';
import { attemptEndpoints } from './routes/attempts';
import { auditEndpoints } from './routes/audit';
import { batchEndpoints } from './routes/batches';
import { bulkEndpoints } from './routes/bulk';
import { callbackEndpoints } from './routes/callbacks';
import { capSockets } from './core/key-limits';
import { cleanupEndpoints } from './routes/cleanup';
import { createEndpoints } from './routes/create';
import { DASHBOARD_PATH, serveDashboard } from './dashboard';
import { deadLetterEndpoints } from './routes/dead-letters';
import type { Services } from './core/services';
import { type RequestEnvironment, requestEnvironment } from './core/request-environment';
import type { AnyEndpoint } from './core/endpoint';
import { eventEndpoints } from './routes/events';
import { ResponseHeaders } from './core/response-headers';
import { gateEndpoints } from './routes/gates';
import { healthEndpoints } from './routes/health';
import { jobEndpoints } from './routes/jobs';
import { jobTypeEndpoints } from './routes/job-types';
import { documentationEndpoints } from './docs/openapi';
import { answerOptions, noRoute, noWebSocket } from './core/no-route';
import { queueEndpoints } from './routes/queues';
import { rateLimitEndpoints } from './routes/rate-limits';
import { runnerEndpoints } from './routes/runners';
import { scheduleEndpoints } from './routes/schedules';
import { sessionEndpoints } from './routes/session';
import { systemEndpoints } from './routes/system';
import { Incoming } from './streams/web-sockets';
import { webhookEndpoints } from './routes/webhooks';
import { workflowEndpoints } from './routes/workflows';

/** The API, in the order in which routes are matched: fixed paths before those with parameters. */
export const ENDPOINTS: readonly AnyEndpoint[] = [
  ...attemptEndpoints,
  ...bulkEndpoints,
  ...batchEndpoints,
  ...eventEndpoints,
  ...createEndpoints,
  ...jobEndpoints,
  ...deadLetterEndpoints,
  ...cleanupEndpoints,
  ...runnerEndpoints,
  ...jobTypeEndpoints,
  ...workflowEndpoints,
  ...gateEndpoints,
  ...queueEndpoints,
  ...rateLimitEndpoints,
  ...scheduleEndpoints,
  ...webhookEndpoints,
  ...callbackEndpoints,
  ...alertEndpoints,
  ...apiKeyEndpoints,
  ...objectEndpoints,
  ...sessionEndpoints,
  ...auditEndpoints,
  ...analyticsEndpoints,
  ...healthEndpoints,
  ...systemEndpoints,
];

const HEADERS_TIMEOUT_MS = 10_000;
const REQUEST_TIMEOUT_MS = 30_000;
const CONNECTION_CHECK_MS = 5000;
const MOST_REQUESTS_PER_SOCKET = 100_000;
/** Longer than load balancers keep idle connections (60 s), so that they close them before the coordinator does. */
const KEEP_ALIVE_TIMEOUT_MS = 75_000;
const OPTIONS: ServerOptions<typeof Incoming> = {
  IncomingMessage: Incoming,
  headersTimeout: HEADERS_TIMEOUT_MS,
  requestTimeout: REQUEST_TIMEOUT_MS,
  keepAliveTimeout: KEEP_ALIVE_TIMEOUT_MS,
  connectionsCheckingInterval: CONNECTION_CHECK_MS,
};

/**
 * The API as an HTTP server. Calls of a fixed path go straight to their endpoint, because Express's router and
 * middleware would take half as much time as a create. Express handles all other paths.
 */
export function createHttpServer(services: Services): Server {
  const app = express();
  const environment = requestEnvironment(services, app);
  route(app, environment);
  const fixed = new Map(
    ENDPOINTS.filter(({ path }) => !path.includes(':')).map((endpoint) => [
      `${endpoint.method.toUpperCase()} ${endpoint.path}`,
      endpoint,
    ]),
  );
  const listener = (request: IncomingMessage, response: ServerResponse): void => {
    const endpoint = fixed.get(`${request.method} ${request.url}`);
    if (endpoint === undefined) return void app(request, response);
    const headers = new ResponseHeaders(environment, request, response);
    try {
      if (!headers.begin()) void serve(endpoint, environment, request, response, headers, NOTHING);
    } catch (error) {
      refuse(environment, response, headers, error);
    }
  };
  const server =
    services.access.tls === null
      ? createServer(OPTIONS, listener)
      : createTlsServer({ ...OPTIONS, ...services.access.tls, minVersion: 'TLSv1.2' }, listener);
  server.maxRequestsPerSocket = MOST_REQUESTS_PER_SOCKET;
  // For `Expect: 100-continue`: the client is told to continue once its body is read.
  server.on('checkContinue', listener);
  server.on('upgrade', (request, _socket, head) => {
    const response = services.webSockets.receive(request, head);
    if (response === null) return;
    const refused = noWebSocket(ENDPOINTS, request);
    if (refused === null) return listener(request, response);
    const headers = new ResponseHeaders(environment, request, response);
    try {
      headers.begin();
      refuse(environment, response, headers, refused);
    } catch (error) {
      refuse(environment, response, headers, error);
    }
  });
  server.on('clientError', (_error, socket) => socket.destroy());
  capSockets(server, services.access);
  return server;
}

const NOTHING = { params: {}, query: {} };

function route(app: express.Express, environment: RequestEnvironment): void {
  const { trustProxy } = environment.services.access;
  app.disable('x-powered-by');
  app.disable('etag');
  app.set('query parser', 'simple');
  app.set('trust proxy', typeof trustProxy === 'number' ? trustProxy : [...trustProxy]);
  app.use((request, response, next) => {
    if (!headersOf(environment, request, response).begin()) next();
  });
  const routes = [...ENDPOINTS, ...documentationEndpoints(ENDPOINTS)];
  for (const endpoint of routes) {
    app[endpoint.method](
      endpoint.path,
      (request, response) =>
        void serve(endpoint, environment, request, response, headersOf(environment, request, response), request),
    );
  }
  app.get(DASHBOARD_PATH, (request, response) => {
    const headers = headersOf(environment, request, response);
    serveDashboard(request, response, headers, environment.services.unsent).catch((error: unknown) =>
      refuse(environment, response, headers, error),
    );
  });
  app.use((request, response) => {
    const headers = headersOf(environment, request, response);
    if (answerOptions(routes, request, response, headers)) return;
    refuse(environment, response, headers, noRoute(routes, request));
  });
  // Express recognises an error handler by its four parameters.
  app.use((error: unknown, request: Request, response: Response, _next: express.NextFunction) =>
    refuse(environment, response, headersOf(environment, request, response), error),
  );
}

function headersOf(environment: RequestEnvironment, request: Request, response: Response): ResponseHeaders {
  response.locals['headers'] ??= new ResponseHeaders(environment, request, response);
  return response.locals['headers'] as ResponseHeaders;
}
