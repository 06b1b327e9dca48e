import { apiUrl } from '../place';
import { problemOf, unreachable } from './problem';

export type Query = Record<string, string | number | boolean | readonly string[] | null | undefined>;

interface Options {
  query?: Query | undefined;
  body?: unknown;
  headers?: Record<string, string> | undefined;
  signal?: AbortSignal | undefined;
}

/** A token (JWT) that somebody signed in with instead of a key. It vouches for this tab alone; keys become a cookie. */
const TOKEN = 'baton-token';
let onSignedOut: () => void = () => undefined;

export function setToken(token: string | null): void {
  if (token === null) sessionStorage.removeItem(TOKEN);
  else sessionStorage.setItem(TOKEN, token);
}

/** Called when an answer says that nobody is signed in any more. */
export function whenSignedOut(listener: () => void): void {
  onSignedOut = listener;
}

/**
 * One call of the API.
 * @param path its segments, which are escaped: `['jobs', id, 'cancel']`
 * @returns the body of the answer; undefined for an answer without one
 * @throws {ApiError}
 */
export async function call<T>(method: string, path: readonly string[], options: Options = {}): Promise<T> {
  const response = await request(method, path, options);
  if (response.status === 204) return undefined as T;
  return (await response.json()) as T;
}

/** The same for answers that are read as they come. */
export async function request(method: string, path: readonly string[], options: Options = {}): Promise<Response> {
  const { query, body, headers, signal } = options;
  const token = sessionStorage.getItem(TOKEN);
  const response = await fetch(urlOf(path, query), {
    method,
    credentials: 'same-origin',
    headers: {
      Accept: 'application/json',
      ...(body === undefined ? {} : { 'Content-Type': 'application/json' }),
      ...(token === null ? {} : { Authorization: `Bearer ${token}` }),
      ...headers,
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    ...(signal === undefined ? {} : { signal }),
  }).catch((error: unknown) => {
    throw signal?.aborted === true ? error : unreachable();
  });
  if (response.ok) return response;
  const problem = await problemOf(response);
  if (problem.status === 401 && path[0] !== 'session') onSignedOut();
  throw problem;
}

/** The address of a call, for what is shown or copied. */
export function urlOf(path: readonly string[], query: Query = {}): string {
  const url = new URL(path.map(encodeURIComponent).join('/'), apiUrl);
  for (const [name, value] of Object.entries(query)) {
    if (value === null || value === undefined) continue;
    for (const one of Array.isArray(value) ? (value as readonly string[]) : [value])
      url.searchParams.append(name, String(one));
  }
  return url.href;
}

export const get = <T>(path: readonly string[], query?: Query, signal?: AbortSignal): Promise<T> =>
  call<T>('GET', path, { query, signal });
export const post = <T>(path: readonly string[], body?: unknown, headers?: Record<string, string>): Promise<T> =>
  call<T>('POST', path, { body, headers });
export const put = <T>(path: readonly string[], body: unknown): Promise<T> => call<T>('PUT', path, { body });
export const patch = <T>(path: readonly string[], body: unknown): Promise<T> => call<T>('PATCH', path, { body });
export const remove = <T>(path: readonly string[], query?: Query): Promise<T> => call<T>('DELETE', path, { query });
