import type { ServerResponse } from 'node:http';
import type { AuditAction, Role } from '@baton/runner-sdk/protocol';
import type { z } from 'zod';
import type { Actor, Caller } from '../../domain/auth/caller';
import type { Services } from './services';
import type { DisconnectSignal } from '../../dispatch/disconnect-signal';
import type { BodyKind } from './limits';

type Parsed<Schema> = Schema extends z.ZodType ? z.output<Schema> : undefined;

/** One request, read and allowed. */
export interface Call<Params, Query, Body> {
  services: Services;
  caller: Caller;
  /** The same for the audit, with where the call came from. */
  by: Actor;
  /** When the browser's session ends that vouches for the caller; null: a key or token does. */
  sessionEndsAt: Date | null;
  params: Parsed<Params>;
  query: Parsed<Query>;
  body: Parsed<Body>;
  /** @param name in lower case */
  header(name: string): string | undefined;
  /** Aborted when the client goes away before it was answered. */
  signal: AbortSignal;
  /** The same for calls that many wait with: it costs less. */
  disconnect: DisconnectSignal;
  /** Whether the client's connection is encrypted, as far as the trusted proxies tell. */
  isSecure: boolean;
  /**
   * From here on the call only waits, and knows no headers any more. Throws
   * `rate_limited` when too many of the key wait.
   */
  park(how?: { isHeartbeat?: boolean }): void;
  /** Only the head of the answer is wanted. */
  isHead: boolean;
}

export interface Reply {
  status: number;
  body: unknown;
  headers: Record<string, string>;
  /** The body as JSON text, instead of `body`; a long one in pieces. */
  text?: string | readonly string[];
  /** The body as it is sent, instead of `body`. */
  bytes?: Buffer;
  /** Told when the client has gone, and so the reply was not sent. */
  onUnsent?: () => void;
  /** Sends the body itself, and ends the answer when it wants. */
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
   * How it keeps to the queues and types that a client's key is limited to: `job`, by its `:id`, which is a job's; `kept`, by
   * itself. Left out: such a key may not call it.
   */
  scope?: 'job' | 'kept';
  params?: Params;
  query?: Query;
  body?: Body;
  /** How large its body may be. Default: `command`. */
  takes?: BodyKind;
  /** What the audit tells of a call that changed something, or why it tells nothing. Every route that is not `get` says so. */
  audit?: readonly AuditAction[] | { none: string };
  /** Request headers with a meaning, and what they do. */
  headers?: Record<string, string>;
  /** What it answers with, by status. */
  replies: Record<number, z.ZodType>;
  /** Headers of its answers with a meaning, beside those that every answer has, and what they say. */
  replyHeaders?: Record<string, string>;
  /** The media type of its answers, when it is not JSON. */
  produces?: string;
  /** Browsers, which ask for HTML, are answered with a page instead. */
  hasPage?: boolean;
  run(call: Call<Params, Query, Body>): Promise<Reply>;
}

export type AnyEndpoint = Endpoint<z.ZodType | undefined, z.ZodType | undefined, z.ZodType | undefined>;

/**
 * The one way to declare a route: validation, authorisation and OpenAPI all come from what is declared here.
 */
export function endpoint<
  Params extends z.ZodType | undefined = undefined,
  Query extends z.ZodType | undefined = undefined,
  Body extends z.ZodType | undefined = undefined,
>(declared: Endpoint<Params, Query, Body>): AnyEndpoint {
  // The handler is only ever called with what its own schemas made.
  return declared;
}

export function reply(status: number, body: unknown, headers: Record<string, string> = {}): Reply {
  return { status, body, headers };
}

/** A reply whose JSON was written already. */
export function replyText(status: number, text: string | readonly string[]): Reply {
  return { status, body: undefined, headers: {}, text };
}

/** What is answered with it is answered over a WebSocket too. */
export const EVENT_STREAM = 'text/event-stream';

/** Those who act for clients: they create jobs, and steer those they see. */
export const CLIENTS: readonly Role[] = ['admin', 'producer', 'user'];
export const READERS: readonly Role[] = ['admin', 'producer', 'user', 'viewer'];
export const RUNNERS: readonly Role[] = ['admin', 'runner'];
/** Those who see the whole system. */
export const OPERATORS: readonly Role[] = ['admin', 'producer', 'viewer'];
/** Whoever has a key. */
export const EVERYONE: readonly Role[] = ['admin', 'producer', 'user', 'runner', 'viewer'];
export const ADMINS: readonly Role[] = ['admin'];
