import type { Role } from '@baton/runner-sdk/protocol';
import type { AnyEndpoint } from '../../../coordinator/http/core/endpoint';
import type { Sent } from '../../support/api';
import type { Owner, Stage, Thing } from './stage';

/** A status, and a text that the body must hold. */
export type Expected = readonly [status: number, says: string];

/** One way in which a route is asked about a thing: where ids stand in it, and what must come of them. */
export interface Place {
  /** Fields of the request that name the thing, such as `path id`, `query userId`, `body completions.jobId`. */
  at: readonly string[];
  /** Makes a thing that belongs to this owner. Each call that is allowed gets a new one. */
  make?(stage: Stage, owner: Owner): Promise<Thing>;
  /**
   * Whether a thing has an owner, so that another's must look like none to keys that see only their own. Default: true.
   */
  isOwned?: boolean;
  /** Whose things a scoped key must not see. Default: another user's, and those of nobody. */
  others?: readonly Owner[];
  /** Whether what it sends lets a caller in by itself. */
  isCredential?: boolean;
  send?(thing: Thing): Sent & { query?: Record<string, string> };
  /** What a key that sees the thing gets. */
  ok: Expected | ((role: Role) => Expected);
  /** What comes of an id that nothing has; the same comes of another's. Default: 404. */
  missing?: Expected | ((role: Role) => Expected);
  /** What comes of a text that is no id. Default: 400. */
  malformed?: Expected;
}

export interface Row {
  places: readonly Place[];
  /** Fields that look like ids, and name nothing that belongs to anybody. */
  harmless?: Record<string, string>;
}

export type Rows = Record<string, Row>;

export const NOT_FOUND: Expected = [404, '"not_found"'];
export const REFUSED: Expected = [400, '"validation_failed"'];
export const ALWAYS_EMPTY: Expected = [200, '"items":[]'];

export function nameOf({ method, path }: Pick<AnyEndpoint, 'method' | 'path'>): string {
  return `${method.toUpperCase()} ${path}`;
}

/** A call that names nothing of anybody: whoever may make it gets this. */
export function plain(ok: Expected, send?: Place['send'], make?: Place['make']): Place {
  return {
    at: [],
    isOwned: false,
    ok,
    ...(send === undefined ? {} : { send }),
    ...(make === undefined ? {} : { make }),
  };
}
