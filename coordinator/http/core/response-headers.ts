import { randomUUID } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { allowOrigin, requireHost } from './browser';
import type { RequestEnvironment } from './request-environment';

const SANE_REQUEST_ID = /^[A-Za-z0-9_.:-]{1,128}$/;

/** The headers of an answer that do not depend on its content. */
export class ResponseHeaders {
  private named: string | undefined;
  /**
   * Whether headers are set one by one. Writing them together with the answer is cheaper, but CORS changes some of
   * them.
   */
  private readonly isSet: boolean;

  constructor(
    private readonly environment: RequestEnvironment,
    private readonly request: IncomingMessage,
    private readonly response: ServerResponse,
  ) {
    this.isSet = environment.services.access.corsOrigins.length > 0;
  }

  /**
   * Checks the request's host and origin.
   * @returns whether the request is already answered
   * @throws {BatonError} `host_not_allowed`
   */
  begin(): boolean {
    const { environment, request, response } = this;
    const { allowedHosts, corsOrigins } = environment.services.access;
    if (this.isSet) setHeaders(response, this.lines());
    requireHost(request, allowedHosts);
    return allowOrigin(request, response, corsOrigins);
  }

  /**
   * The request id that the caller sent, if it is well formed, else a new one. Created on demand, so that a waiting
   * poll keeps none.
   */
  get requestId(): string {
    return (this.named ??= this.sentId() ?? randomUUID());
  }

  /** Frees the request's headers, which are a large part of a waiting poll's memory. */
  forgetRequest(): void {
    const { request } = this;
    this.named ??= this.sentId();
    request.headers = {};
    request.rawHeaders = [];
  }

  /** Headers that are not set yet, as alternating names and values. */
  left(): string[] {
    const lines = this.isSet ? [] : this.lines();
    if (this.environment.services.processState.isDraining) lines.push('Connection', 'close');
    return lines;
  }

  private lines(): string[] {
    const lines = this.environment.everyAnswer.slice();
    lines.push('X-Request-Id', this.requestId);
    return lines;
  }

  private sentId(): string | undefined {
    const sent = this.request.headers['x-request-id'];
    return typeof sent === 'string' && SANE_REQUEST_ID.test(sent) ? sent : undefined;
  }
}

/** @param lines alternating names and values */
export function setHeaders(response: ServerResponse, lines: readonly string[]): void {
  for (let at = 0; at < lines.length; at += 2) response.setHeader(lines[at] ?? '', lines[at + 1] ?? '');
}
