import type { ServerResponse } from 'node:http';
import type { AuditAction, Role } from '@baton/runner-sdk/protocol';
import type { z } from 'zod';
import type { Actor, Caller } from '../../domain/auth/caller';
import type { Services } from './services';
import type { DisconnectSignal } from '../../dispatch/disconnect-signal';
import type { BodyKind } from './limits';

type Parsed<Schema> = Schema extends z.ZodType ? z.output<Schema> : undefined;

/** One parsed and authorised request. */
export interface Call<Params, Query, Body> {
  services: Services;
  caller: Caller;
  /** Whose share of bounded resources the call uses: its key, or the address of a caller without one. */
  readonly owner: string;
  /** The caller for the audit log, with the address that the call came from. */
  by: Actor;
  /** When the browser session of the caller ends; null: the caller used a key or token. */
  sessionEndsAt: Date | null;
  params: Parsed<Params>;
  query: Parsed<Query>;
  body: Parsed<Body>;
  /** @param name in lower case */
  header(name: string): string | undefined;
  /** Aborted when the client disconnects before it was answered. */
  signal: AbortSignal;
  /** The same for calls of which many wait, at a lower cost. */
  disconnect: DisconnectSignal;
  /** Whether the client's connection is encrypted, according to the trusted proxies. */
  isSecure: boolean;
  /**
   * Declares that from now on the call only waits, and drops its headers. Throws `rate_limited` when too many calls of
   * the key wait.
   */
  park(how?: { isHeartbeat?: boolean }): void;
  /** It is a HEAD request. */
  isHead: boolean;
  /** The version of the protocol that the runner speaks. Only calls of runners state one. */
  protocol: number;
}

export interface Reply {
  status: number;
  body: unknown;
  headers: Record<string, string>;
  /** The body as JSON text, instead of `body`; a long one in pieces. */
  text?: string | readonly string[];
  /** The encoded body, instead of `body`. */
  bytes?: Buffer;
  /** Called when the reply was not sent because the client has disconnected. */
  onUnsent?: () => void;
  /** Sends the body itself, and ends the response. */
  send?: (response: ServerResponse) => void;
}

export interface Endpoint<Params = unknown, Query = unknown, Body = unknown> {
  method: 'get' | 'post' | 'put' | 'patch' | 'delete';
  path: string;
  /** One sentence; also the operation's name in OpenAPI. */
  summary: string;
  /** Who may call it. `public` needs no key; every other endpoint does. */
  roles: readonly Role[] | 'public';
  /**
   * How it respects the queues and types that a client's key is limited to: `job`, by the job of its `:id`; `kept`, in
   * its own code. Left out: such a key may not call it.
   */
  scope?: 'job' | 'kept';
  params?: Params;
  query?: Query;
  body?: Body;
  /** How large its body may be. Default: `command`. */
  takes?: BodyKind;
  /**
   * Audit actions of calls that change something, or the reason why there are none. Required for every route other than
   * `get`.
   */
  audit?: readonly AuditAction[] | { none: string };
  /** Request headers that the endpoint uses, with descriptions. */
  headers?: Record<string, string>;
  /** Schemas of its answers, by status. */
  replies: Record<number, z.ZodType>;
  /** Headers of its answers beside those of every answer, with descriptions. */
  replyHeaders?: Record<string, string>;
  /** The media type of its answers, when it is not JSON. */
  produces?: string;
  /** A browser, which asks for HTML, gets a page instead. */
  hasPage?: boolean;
  run(call: Call<Params, Query, Body>): Promise<Reply>;
}

export type AnyEndpoint = Endpoint<z.ZodType | undefined, z.ZodType | undefined, z.ZodType | undefined>;

/** Declares a route. Validation, authorisation and OpenAPI all derive from the declaration. */
export function endpoint<
  Params extends z.ZodType | undefined = undefined,
  Query extends z.ZodType | undefined = undefined,
  Body extends z.ZodType | undefined = undefined,
>(declared: Endpoint<Params, Query, Body>): AnyEndpoint {
  // The handler is only called with what its own schemas have parsed.
  return declared;
}

export function reply(status: number, body: unknown, headers: Record<string, string> = {}): Reply {
  return { status, body, headers };
}

/** A reply whose JSON text exists already. */
export function replyText(status: number, text: string | readonly string[]): Reply {
  return { status, body: undefined, headers: {}, text };
}

/** Endpoints that produce it can also be called over a WebSocket. */
export const EVENT_STREAM = 'text/event-stream';

/** Roles that act for clients: they create jobs, and control those they can see. */
export const CLIENTS: readonly Role[] = ['admin', 'producer', 'user'];
export const READERS: readonly Role[] = ['admin', 'producer', 'user', 'viewer'];
export const RUNNERS: readonly Role[] = ['admin', 'runner'];
/** Roles that see the whole system. */
export const OPERATORS: readonly Role[] = ['admin', 'producer', 'viewer'];
/** Every role. */
export const EVERYONE: readonly Role[] = ['admin', 'producer', 'user', 'runner', 'viewer'];
export const ADMINS: readonly Role[] = ['admin'];
