import type { IncomingMessage } from 'node:http';
import type { Express, Request } from 'express';
import { securityHeaders } from './browser';
import type { Services } from './services';

/** What all requests of a server are answered with. */
export interface RequestEnvironment {
  services: Services;
  /** The headers of every answer: names and values in turns. */
  everyAnswer: readonly string[];
  /**
   * What Express tells of a request: its address and scheme, as far as the trusted proxies tell. One that came without
   * Express's router is made to know it when somebody asks, which few do.
   */
  known(request: IncomingMessage): Request;
}

export function requestEnvironment(services: Services, app: Express): RequestEnvironment {
  return {
    services,
    everyAnswer: securityHeaders(services.access.tls !== null),
    known: (request) => ('app' in request ? request : Object.setPrototypeOf(request, app.request)) as Request,
  };
}
