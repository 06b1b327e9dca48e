import { randomUUID } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { allowOrigin, requireHost } from './browser';
import type { RequestEnvironment } from './request-environment';

const SANE_REQUEST_ID = /^[A-Za-z0-9_.:-]{1,128}$/;

/** What stands at the head of a request's answer, whatever it says. */
export class ResponseHeaders {
  private named: string | undefined;
  /** Written with the answer in one go, which is cheaper than set one by one; but CORS changes some of them. */
  private readonly isSet: boolean;

  constructor(
    private readonly environment: RequestEnvironment,
    private readonly request: IncomingMessage,
    private readonly response: ServerResponse,
  ) {
    this.isSet = environment.services.access.corsOrigins.length > 0;
  }

  /**
   * Asks whether the request's host and origin may call.
   * @returns whether it was answered already
   * @throws {BatonError} `host_not_allowed`
   */
  begin(): boolean {
    const { environment, request, response } = this;
    const { allowedHosts, corsOrigins } = environment.services.access;
    if (this.isSet) setHeaders(response, this.lines());
    requireHost(request, allowedHosts);
    return allowOrigin(request, response, corsOrigins);
  }

  /** The caller's name for the request, if it is sane. Made when it is asked for, so that a poll that waits keeps none. */
  get requestId(): string {
    return (this.named ??= this.sentId() ?? randomUUID());
  }

  /** Lets go of the request's headers, which are a good part of what a poll that waits takes. */
  forgetRequest(): void {
    const { request } = this;
    this.named ??= this.sentId();
    request.headers = {};
    request.rawHeaders = [];
  }

  /** The headers that are still to be written: names and values in turns. */
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

/** @param lines names and values in turns */
export function setHeaders(response: ServerResponse, lines: readonly string[]): void {
  for (let at = 0; at < lines.length; at += 2) response.setHeader(lines[at] ?? '', lines[at + 1] ?? '');
}
