import { randomUUID } from 'node:crypto';
import type { Socket } from 'node:net';
import type { Request, Response } from 'express';
import { type Actor, actorOf } from '../domain/auth/caller';
import type { Login } from '../domain/auth/keys';
import { BatonError } from '../errors';
import { authenticate } from './authenticate';
import { allowOrigin, requireHost } from './browser';
import type { Seat } from './caps';
import type { Desk } from './desk';
import type { AnyEndpoint, Call, Reply } from './endpoint';
import { toJson } from './json';
import { invalid, sendProblem } from './problem';
import { readBody } from './read-body';

// From a request that found its endpoint to its answer. Everything here is done for every call, so it is done sparingly.

const SANE_REQUEST_ID = /^[A-Za-z0-9_.:-]{1,128}$/;

/**
 * Names the request, notes the headers that every answer has, and asks whether its host and origin may call.
 * @returns whether it was answered already
 * @throws {BatonError} `forbidden`
 */
export function begin(desk: Desk, request: Request, response: Response, everyAnswer: readonly (readonly [string, string])[]): boolean {
  const sent = request.headers['x-request-id'];
  const requestId = typeof sent === 'string' && SANE_REQUEST_ID.test(sent) ? sent : randomUUID();
  const headers = [...everyAnswer, ['X-Request-Id', requestId] as const];
  const { allowedHosts, corsOrigins } = desk.access;
  response.locals['requestId'] = requestId;
  // Written with the answer in one go, which is cheaper than set one by one; but CORS changes some of them.
  response.locals['head'] = corsOrigins.length === 0 ? headers : [];
  if (corsOrigins.length > 0) setHeaders(response, headers);
  requireHost(request, allowedHosts);
  return allowOrigin(request, response, corsOrigins);
}

/** Answers with what the endpoint does, or with the problem that it met. Never rejects. */
export async function serve(endpoint: AnyEndpoint, desk: Desk, request: Request, response: Response): Promise<void> {
  const exchange = new Exchange(endpoint, desk, request, response);
  try {
    if (desk.tracing === null) await exchange.answer();
    else await desk.tracing.serve(endpoint, request, response, () => exchange.answer());
  } catch (error) {
    refuse(desk, response, error);
  }
}

export function refuse(desk: Desk, response: Response, error: unknown): void {
  if (!response.headersSent) setHeaders(response, headOf(desk, response));
  sendProblem(response, error, String(response.locals['requestId']), desk.context.log);
}

/** One request on its way to its answer. */
class Exchange {
  private readonly startedAt = performance.now();
  private readonly gone = new Gone();
  private seat: Seat | null = null;
  private hasEnded = false;

  constructor(
    private readonly endpoint: AnyEndpoint,
    private readonly desk: Desk,
    private readonly request: Request,
    private readonly response: Response,
  ) {
    // Heard from the start: a client that goes away before its request was read must not be waited for either.
    response.once('close', () => this.end());
    // One that is pipelined behind another has no socket yet, and is never told when the connection ends before its turn.
    if (response.socket === null) this.hearSocket(request.socket);
  }

  /** No longer than the call lasts: a client may send a hundred thousand calls down one connection. */
  private hearSocket(socket: Socket): void {
    const end = (): void => this.end();
    socket.setMaxListeners(0).once('close', end);
    this.response.once('close', () => socket.off('close', end));
  }

  private get isGone(): boolean {
    return this.response.destroyed || this.request.socket.destroyed;
  }

  async answer(): Promise<void> {
    const { endpoint, desk, request, response } = this;
    // What is known already is not waited for: each wait costs a turn.
    const known = authenticate(endpoint, desk.doorman, request);
    const login = known instanceof Promise ? await known : known;
    if (endpoint.roles !== 'public' && !this.isGone) this.seat = this.enter(login.caller.keyId);
    const body = endpoint.body === undefined ? undefined : parse(endpoint.body, await readBody(request, response), 'body');
    const reply = await endpoint.run(this.call(login, body));
    if (!this.isGone) this.send(reply);
  }

  private enter(keyId: string): Seat {
    const { desk, request, response } = this;
    if (desk.caps.hold(request.socket, keyId)) return desk.caps.enter(keyId);
    response.shouldKeepAlive = false;
    throw new BatonError('rate_limited', `This key holds ${desk.access.socketsPerKey} connections to this coordinator, and may have no more.`, { retryAfterMs: 1000 });
  }

  private call({ caller, sessionEndsAt }: Login, body: unknown): Call<AnyEndpoint['params'], AnyEndpoint['query'], AnyEndpoint['body']> {
    const { endpoint, desk, request, response, gone } = this;
    const seat = this.seat;
    return {
      desk,
      caller,
      // Asked for by few, so made when they ask.
      get by(): Actor {
        return actorOf(caller, { address: request.ip ?? '', requestId: String(response.locals['requestId']) });
      },
      get isSecure(): boolean {
        return request.secure;
      },
      get signal(): AbortSignal {
        return gone.signal;
      },
      sessionEndsAt,
      park: () => seat?.park(),
      params: endpoint.params === undefined ? undefined : parse(endpoint.params, request.params, 'path'),
      query: endpoint.query === undefined ? undefined : parse(endpoint.query, request.query, 'query'),
      body,
      header: (name) => request.get(name),
      recheck: async () => authenticate(endpoint, desk.doorman, request),
    };
  }

  private send(reply: Reply): void {
    const { endpoint, desk, response } = this;
    const head = [...headOf(desk, response), ['Cache-Control', 'no-store'] as const, ...Object.entries(reply.headers)];
    if (reply.status === 204) return void response.writeHead(204, head.flat()).end();
    head.push(['Content-Type', `${endpoint.produces ?? 'application/json'}; charset=utf-8`]);
    if (reply.send !== undefined) {
      response.statusCode = reply.status;
      setHeaders(response, head);
      return reply.send(response);
    }
    const text = reply.text ?? toJson(reply.body);
    const length = Buffer.byteLength(text);
    head.push(['Content-Length', String(length)]);
    // As many bytes as characters: all ASCII, which is copied, not encoded.
    response.writeHead(reply.status, head.flat()).end(text, length === text.length ? 'latin1' : 'utf8');
  }

  /** Not when the answer is ready, but when it was taken, or cannot be any more. */
  private end(): void {
    const { endpoint, desk, response } = this;
    if (this.hasEnded) return;
    this.hasEnded = true;
    this.seat?.leave();
    if (!response.writableFinished) return this.gone.abort();
    desk.metrics.answered(endpoint.method, endpoint.path, response.statusCode, (performance.now() - this.startedAt) / 1000);
  }
}

/** Tells that the client is gone. The signal is made when somebody asks for it. */
class Gone {
  private control: AbortController | null = null;
  private isGone = false;

  get signal(): AbortSignal {
    this.control ??= new AbortController();
    if (this.isGone) this.control.abort();
    return this.control.signal;
  }

  abort(): void {
    this.isGone = true;
    this.control?.abort();
  }
}

function headOf(desk: Desk, response: Response): (readonly [string, string])[] {
  const head = (response.locals['head'] ?? []) as (readonly [string, string])[];
  return desk.service.isDraining ? [...head, ['Connection', 'close']] : head;
}

function setHeaders(response: Response, headers: readonly (readonly [string, string])[]): void {
  for (const [name, value] of headers) response.setHeader(name, value);
}

function parse(schema: NonNullable<AnyEndpoint['body']>, value: unknown, where: string): unknown {
  const read = schema.safeParse(value);
  if (!read.success) throw invalid(where, read.error);
  return read.data;
}
