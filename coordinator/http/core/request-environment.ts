import type { IncomingMessage } from 'node:http';
import type { Express, Request } from 'express';
import { securityHeaders } from './browser';
import { PROTOCOL_HEADER, SPOKEN } from './protocol-version';
import type { Services } from './services';

/** What all requests of a server share. */
export interface RequestEnvironment {
  services: Services;
  /** Headers of every answer, as alternating names and values. */
  everyAnswer: readonly string[];
  /**
   * The request with Express's properties: address and scheme, according to the trusted proxies. For a request that did
   * not pass Express's router they are added on demand, because few calls use them.
   */
  known(request: IncomingMessage): Request;
}

export function requestEnvironment(services: Services, app: Express): RequestEnvironment {
  return {
    services,
    everyAnswer: [...securityHeaders(services.access.tls !== null), PROTOCOL_HEADER, SPOKEN],
    known: (request) => ('app' in request ? request : Object.setPrototypeOf(request, app.request)) as Request,
  };
}
