import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { type Actor, actorOf, type Caller } from '../../domain/auth/caller';
import type { Credential } from '../../domain/auth/credential-watch';
import { isScoped } from '../../domain/auth/scope';
import { BatonError } from '../../errors';
import { authenticate, NOBODY } from './authenticate';
import { sourceOf } from '../../domain/auth/failed-logins';
import { type GiveBack, UNCOUNTED_BYTES } from '../body/body-budget';
import type { RequestSlot } from './key-limits';
import type { Services } from './services';
import type { RequestEnvironment } from './request-environment';
import type { AnyEndpoint, Call, Reply } from './endpoint';
import { Disconnect } from './disconnect';
import { type ResponseHeaders, setHeaders } from './response-headers';
import { toJson } from './json';
import { bodyLimits } from './limits';
import { mapInTurns } from '../../turns';
import { requireScope } from './scope';
import { invalid, sendProblem } from './problem';
import { announcedBytes, readBody, requireNoBody } from '../body/read-body';
import { reading } from './reading';

// From a request that found its endpoint to its answer. Everything here is done for every call, so it is done sparingly.

/** What stands in the request's path and query, which is nothing where the path is fixed and there is no query. */
export interface Address {
  params: unknown;
  query: unknown;
}

/** Answers with what the endpoint does, or with the problem that it met. Never rejects. */
export function serve(
  endpoint: AnyEndpoint,
  environment: RequestEnvironment,
  request: IncomingMessage,
  response: ServerResponse,
  headers: ResponseHeaders,
  address: Address,
): Promise<void> {
  const exchange = new Exchange(endpoint, environment, request, response, headers);
  const { tracing } = environment.services;
  if (tracing === null) return exchange.answer(address);
  return tracing.serve(endpoint, environment.known(request), response, headers.requestId, () =>
    exchange.answer(address),
  );
}

export function refuse(
  { services }: RequestEnvironment,
  response: ServerResponse,
  headers: ResponseHeaders,
  error: unknown,
): void {
  if (!response.headersSent) setHeaders(response, headers.left());
  sendProblem(response, error, headers.requestId, services.context.log);
}

/** One request on its way to its answer, and the call that its endpoint sees. What few ask for is made when they ask. */
class Exchange implements Call<AnyEndpoint['params'], AnyEndpoint['query'], AnyEndpoint['body']> {
  services: Services;
  readonly disconnect = new Disconnect();
  caller: Caller = NOBODY;
  sessionEndsAt: Date | null = null;
  params: unknown;
  query: unknown;
  body: unknown;
  private readonly startedAt = performance.now();
  private slot: RequestSlot | null = null;
  private giveRoomBack: GiveBack | undefined;
  private hasEnded = false;
  private credential: Credential | null = null;
  /** What let the caller in ended while the call waited. */
  private isRevoked = false;
  private unwatchCredential: (() => void) | undefined;
  private taken: (() => void) | undefined;

  constructor(
    private readonly endpoint: AnyEndpoint,
    private readonly environment: RequestEnvironment,
    private readonly request: IncomingMessage,
    private readonly response: ServerResponse,
    private readonly headers: ResponseHeaders,
  ) {
    this.services = environment.services;
    // Heard from the start: a client that goes away before its request was read must not be waited for either.
    response.on('close', () => this.end());
    // One that is pipelined behind another has no socket yet, and is never told when the connection ends before its turn.
    if (response.socket === null) this.hearSocket(request.socket);
  }

  /** Never rejects. */
  async answer({ params, query }: Address): Promise<void> {
    const { endpoint, environment, request, response } = this;
    try {
      // What is known already is not waited for: each wait costs a turn.
      const known = authenticate(endpoint, environment, request);
      const login = known instanceof Promise ? await known : known;
      this.caller = login.caller;
      this.sessionEndsAt = login.sessionEndsAt;
      this.credential = login.credential;
      if (endpoint.roles === 'public') {
        // Probes have nothing to read, and are never refused.
        if (endpoint.body !== undefined) this.slot = this.services.keyLimits.enter(this.owner);
      } else if (!this.isDisconnected) {
        this.slot = this.enter(login.caller.keyId);
        this.services.unsent.requireShare(login.caller.keyId);
      }
      if (endpoint.roles !== 'public' && endpoint.method === 'get') this.services = reading(this);
      if (endpoint.body !== undefined) this.body = parse(endpoint.body, await this.read(endpoint), 'body');
      else await requireNoBody(endpoint, request, response);
      if (endpoint.params !== undefined) this.params = parse(endpoint.params, params, 'path');
      if (endpoint.query !== undefined) this.query = parse(endpoint.query, query, 'query');
      // A promise that nothing is waited for would cost each call a turn.
      if (isScoped(this.caller)) await requireScope(this.services, endpoint, this.caller, this.params);
      await this.deliver(await endpoint.run(this));
    } catch (error) {
      // What the call waited for was stopped for this reason, and may name another.
      refuse(environment, response, this.headers, this.isRevoked ? wasRevoked() : error);
    } finally {
      this.giveRoomBack?.();
    }
  }

  /** Sends the reply, unless nobody is left to read it, or whoever is may not read it any more. */
  private async deliver(reply: Reply): Promise<void> {
    try {
      const pieces = typeof reply.text === 'object' ? await mapInTurns(reply.text, encoded) : null;
      // What is known already is not waited for.
      const isGood = this.isGood();
      if (!(isGood === true || (await this.confirmed(isGood, reply)))) throw wasRevoked();
      if (!this.isDisconnected) return this.send(reply, pieces);
    } catch (error) {
      reply.onUnsent?.();
      throw error;
    }
    reply.onUnsent?.();
  }

  /** Whether what let the caller in is still good, as far as the call took so long that it may have ended meanwhile. */
  private isGood(): boolean | Promise<boolean> {
    const { credential, services, startedAt } = this;
    if (this.isRevoked) return false;
    if (credential === null || performance.now() - startedAt < SHORT_CALL_MS) return true;
    return services.credentialWatch.isGood(credential);
  }

  /**
   * What a call has done is told also when its credential cannot be looked up: it was good when the call came, and who is
   * not told does it again.
   */
  private async confirmed(isGood: boolean | Promise<boolean>, reply: Reply): Promise<boolean> {
    try {
      return await isGood;
    } catch (error) {
      const hasActed =
        this.endpoint.method !== 'get' && reply.onUnsent === undefined && this.unwatchCredential === undefined;
      if (!hasActed) throw error;
      return true;
    }
  }

  private revoke(): void {
    this.isRevoked = true;
    this.disconnect.abort();
  }

  private async read(endpoint: AnyEndpoint): Promise<unknown> {
    const { services, request, response } = this;
    const limits = bodyLimits(endpoint, services.context.maxPayloadBytes);
    const bytes = announcedBytes(request, limits);
    // Short ones, which most are, are not waited for.
    if (bytes > UNCOUNTED_BYTES) this.giveRoomBack = await services.bodies.take(this.owner, bytes, this.disconnect);
    // One that did not say how long it would be was taken for the longest; a call may wait long after it was read.
    return readBody(request, response, limits, (length) => this.giveRoomBack?.(length));
  }

  get by(): Actor {
    return actorOf(this.caller, {
      address: this.environment.known(this.request).ip ?? '',
      requestId: this.headers.requestId,
    });
  }

  /** Whose share of what is bounded the call takes: its key's, or, of one without a key, its address's. */
  private get owner(): string {
    const { caller, environment, request } = this;
    return caller === NOBODY ? addressOwner(environment.known(request).ip) : caller.keyId;
  }

  get isSecure(): boolean {
    return this.environment.known(this.request).secure;
  }

  get signal(): AbortSignal {
    return this.disconnect.signal;
  }

  get header(): (name: string) => string | undefined {
    return (name) => {
      const value = this.request.headers[name];
      return Array.isArray(value) ? value.join(', ') : value;
    };
  }

  get park(): Call<unknown, unknown, unknown>['park'] {
    return ({ isHeartbeat = false } = {}) => {
      this.slot?.park(isHeartbeat ? 'heartbeats' : 'parked');
      this.headers.forgetRequest();
      if (this.credential !== null && !this.hasEnded)
        this.unwatchCredential = this.services.credentialWatch.watch(this.credential, () => this.revoke());
    };
  }

  get isHead(): boolean {
    return this.request.method === 'HEAD';
  }

  private get isDisconnected(): boolean {
    return this.response.destroyed || this.request.socket.destroyed;
  }

  /** No longer than the call lasts: a client may send a hundred thousand calls down one connection. */
  private hearSocket(socket: Socket): void {
    const end = (): void => this.end();
    socket.setMaxListeners(0).once('close', end);
    this.response.once('close', () => socket.off('close', end));
  }

  private enter(keyId: string): RequestSlot {
    const { services, request, response } = this;
    if (services.keyLimits.countSocket(request.socket, keyId)) return services.keyLimits.enter(keyId);
    response.shouldKeepAlive = false;
    throw new BatonError(
      'rate_limited',
      `This key holds ${services.access.socketsPerKey} connections to this coordinator, and may have no more.`,
      { retryAfterMs: 1000 },
    );
  }

  /** @param pieces of a long body, encoded */
  private send(reply: Reply, pieces: Buffer[] | null): void {
    const { endpoint, response } = this;
    const head = this.headers.left();
    if (reply.headers['Cache-Control'] === undefined) head.push('Cache-Control', 'no-store');
    for (const name in reply.headers) head.push(name, reply.headers[name] ?? '');
    if (reply.status === 204) return void response.writeHead(204, head).end();
    head.push('Content-Type', endpoint.produces === undefined ? JSON_TYPE : `${endpoint.produces}; charset=utf-8`);
    if (reply.send !== undefined) {
      response.statusCode = reply.status;
      setHeaders(response, head);
      return reply.send(response);
    }
    if (pieces !== null) {
      const length = pieces.reduce((sum, piece) => sum + piece.length, 0);
      return this.write(reply, head, length, () => {
        for (const piece of pieces) response.write(piece);
        response.end();
      });
    }
    const { bytes } = reply;
    if (bytes !== undefined) return this.write(reply, head, bytes.length, () => response.end(bytes));
    const text = typeof reply.text === 'string' ? reply.text : toJson(reply.body);
    const length = Buffer.byteLength(text);
    // As many bytes as characters: all ASCII, which is copied, not encoded.
    this.write(reply, head, length, () => response.end(text, length === text.length ? 'latin1' : 'utf8'));
  }

  /** @param body writes the body, and ends the answer */
  private write(reply: Reply, head: string[], length: number, body: () => void): void {
    const { endpoint, response } = this;
    const { unsent } = this.services;
    // What a call has done must be told; what it only reads, or is given back, can be asked for again.
    if (endpoint.method === 'get' || reply.onUnsent !== undefined) unsent.requireRoom(this.owner, length);
    head.push('Content-Length', String(length));
    response.writeHead(reply.status, head);
    body();
    this.taken = unsent.written(response, this.owner, length, () => this.request.socket.destroy());
    // It ended while it was written.
    if (this.hasEnded) this.taken?.();
  }

  /** Not when the answer is ready, but when it was taken, or cannot be any more. */
  private end(): void {
    const { endpoint, services, response } = this;
    if (this.hasEnded) return;
    this.hasEnded = true;
    this.unwatchCredential?.();
    this.taken?.();
    this.slot?.release();
    if (!response.writableFinished) return this.disconnect.abort();
    services.metrics.answered(
      endpoint.method,
      endpoint.path,
      response.statusCode,
      (performance.now() - this.startedAt) / 1000,
    );
  }
}

/** A call that took no longer was answered to who asked. */
const SHORT_CALL_MS = 3000;

function wasRevoked(): BatonError {
  return new BatonError(
    'unauthenticated',
    'The key, session or token was revoked, or has expired, while the call was under way.',
  );
}

/** In whose name calls without a key are counted that come from an address. */
export function addressOwner(address = ''): string {
  return `address ${sourceOf(address)}`;
}

function encoded(text: string): Buffer {
  return Buffer.from(text);
}

const JSON_TYPE = 'application/json; charset=utf-8';

function parse(schema: NonNullable<AnyEndpoint['body']>, value: unknown, where: string): unknown {
  const read = schema.safeParse(value);
  if (!read.success) throw invalid(where, schema, value, read.error);
  return read.data;
}
