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
import { type AnyEndpoint, type Call, type Reply, RUNNERS } from './endpoint';
import { Disconnect } from './disconnect';
import { type ResponseHeaders, setHeaders } from './response-headers';
import { toJson } from './json';
import { bodyLimits } from './limits';
import { mapInTurns } from '../../turns';
import { protocolOf } from './protocol-version';
import { requireScope } from './scope';
import { invalid, sendProblem } from './problem';
import { announcedBytes, readBody, requireNoBody } from '../body/read-body';
import { reading, writing } from './reading';

// From a routed request to its answer. This runs for every call, so it avoids needless work.

/** Parameters of the request's path and query; undefined where the path is fixed and there is no query. */
export interface Address {
  params: unknown;
  query: unknown;
}

/** Runs the endpoint and answers with its reply, or with a problem. Never rejects. */
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

/**
 * One request until its answer is taken, and the call that its endpoint receives. What few endpoints use is created on
 * demand.
 */
class Exchange implements Call<AnyEndpoint['params'], AnyEndpoint['query'], AnyEndpoint['body']> {
  services: Services;
  readonly disconnect = new Disconnect();
  caller: Caller = NOBODY;
  sessionEndsAt: Date | null = null;
  params: unknown;
  query: unknown;
  body: unknown;
  protocol = 1;
  private readonly startedAt = performance.now();
  private slot: RequestSlot | null = null;
  private giveRoomBack: GiveBack | undefined;
  private hasEnded = false;
  private credential: Credential | null = null;
  /** The credential became invalid while the call waited. */
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
    // Registered first: a client may disconnect before its request was read.
    response.on('close', () => this.end());
    // A pipelined response has no socket yet, and gets no event when the connection ends before its turn.
    if (response.socket === null) this.hearSocket(request.socket);
  }

  /** Never rejects. */
  async answer({ params, query }: Address): Promise<void> {
    const { endpoint, environment, request, response } = this;
    try {
      // A login from the cache is not awaited: each await costs a turn of the event loop.
      const known = authenticate(endpoint, environment, request);
      const login = known instanceof Promise ? await known : known;
      this.caller = login.caller;
      this.sessionEndsAt = login.sessionEndsAt;
      this.credential = login.credential;
      if (endpoint.roles === RUNNERS) this.protocol = protocolOf(request);
      this.admit(endpoint);
      if (endpoint.body !== undefined) this.body = parse(endpoint.body, await this.read(endpoint), 'body');
      else await requireNoBody(endpoint, request, response);
      if (endpoint.params !== undefined) this.params = parse(endpoint.params, params, 'path');
      if (endpoint.query !== undefined) this.query = parse(endpoint.query, query, 'query');
      // Not awaited for callers without a scope, because each await costs a turn of the event loop.
      if (isScoped(this.caller)) await requireScope(this.services, endpoint, this.caller, this.params);
      await this.deliver(await endpoint.run(this));
    } catch (error) {
      // A revoked credential aborts what the call waits for, which may throw another error.
      refuse(environment, response, this.headers, this.isRevoked ? wasRevoked() : error);
    } finally {
      this.giveRoomBack?.();
    }
  }

  /**
   * Takes a place among the calls of its owner, and limits its connections to the owner's share. Public calls that ask
   * for nothing in particular, such as probes, are never refused.
   */
  private admit(endpoint: AnyEndpoint): void {
    const isPublic = endpoint.roles === 'public';
    if (isPublic && endpoint.params === undefined && endpoint.body === undefined) return;
    if (isPublic) this.slot = this.services.keyLimits.enter(this.owner);
    else if (!this.isDisconnected) {
      this.slot = this.enter(this.caller.keyId);
      this.services.unsent.requireShare(this.caller.keyId);
    }
    this.services = endpoint.method === 'get' ? reading(this) : writing(this);
  }

  /** Sends the reply, unless the client has disconnected or its credential became invalid. */
  private async deliver(reply: Reply): Promise<void> {
    try {
      const pieces = typeof reply.text === 'object' ? await mapInTurns(reply.text, encoded) : null;
      // Awaited only when the credential must be looked up.
      const isGood = this.isGood();
      if (!(isGood === true || (await this.confirmed(isGood, reply)))) throw wasRevoked();
      if (!this.isDisconnected) return this.send(reply, pieces);
    } catch (error) {
      reply.onUnsent?.();
      throw error;
    }
    reply.onUnsent?.();
  }

  /** Whether the credential is still valid. Short calls are not checked. */
  private isGood(): boolean | Promise<boolean> {
    const { credential, services, startedAt } = this;
    if (this.isRevoked) return false;
    if (credential === null || performance.now() - startedAt < SHORT_CALL_MS) return true;
    return services.credentialWatch.isGood(credential);
  }

  /**
   * When the credential cannot be looked up, a call that changed something is answered all the same: the credential was
   * valid when the call arrived, and a caller without an answer would repeat the call.
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
    // Most bodies are short and reserve no room.
    if (bytes > UNCOUNTED_BYTES) this.giveRoomBack = await services.bodies.take(this.owner, bytes, this.disconnect);
    // A body of unknown length reserved room for the longest one. The rest is returned here, because the call may wait
    // long.
    return readBody(request, response, limits, (length) => this.giveRoomBack?.(length));
  }

  get by(): Actor {
    return actorOf(this.caller, {
      address: this.environment.known(this.request).ip ?? '',
      requestId: this.headers.requestId,
    });
  }

  /** Whose share of bounded resources the call uses: that of its key, or of its address when it has no key. */
  get owner(): string {
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
      const { headers } = this.request;
      const value = Object.hasOwn(headers, name) ? headers[name] : undefined;
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

  /** Listens only while the call lasts: a client may send a hundred thousand calls over one connection. */
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

  /** @param pieces the encoded pieces of a long body */
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
    // As many bytes as characters means ASCII, which latin1 copies without encoding.
    this.write(reply, head, length, () => response.end(text, length === text.length ? 'latin1' : 'utf8'));
  }

  /** @param body writes the body, and ends the answer */
  private write(reply: Reply, head: string[], length: number, body: () => void): void {
    const { endpoint, response } = this;
    const { unsent } = this.services;
    // The result of a change must be sent. A read, or a reply that can be undone, can be refused, because the caller
    // can ask again.
    if (endpoint.method === 'get' || reply.onUnsent !== undefined) unsent.requireRoom(this.owner, length);
    head.push('Content-Length', String(length));
    response.writeHead(reply.status, head);
    body();
    this.taken = unsent.written(response, this.owner, length, () => this.request.socket.destroy());
    // The response ended while it was written.
    if (this.hasEnded) this.taken?.();
  }

  /** Called when the answer was taken by the client, or cannot be taken any more. */
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

/** The credential of a call that took no longer than this is not checked again. */
const SHORT_CALL_MS = 3000;

function wasRevoked(): BatonError {
  return new BatonError(
    'unauthenticated',
    'The key, session or token was revoked, or has expired, while the call was under way.',
  );
}

/** The owner that calls from an address without a key are counted for. */
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
