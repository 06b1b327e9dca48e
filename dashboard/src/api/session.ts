import { useQuery } from '@tanstack/react-query';
import type { Role, Session } from '@baton/runner-sdk/protocol';
import { createContext, useContext } from 'react';
import { get, post, remove, setToken } from './call';
import { ApiError } from './problem';
import { queryClient } from './query-client';

const KEY = ['session'];

/** Who is signed in; null: nobody. */
export function useSessionQuery() {
  return useQuery({
    queryKey: KEY,
    queryFn: ({ signal }) => get<Session>(['session'], {}, signal).catch(nobodyWhenRefused),
    staleTime: 60_000,
  });
}

function nobodyWhenRefused(error: unknown): null {
  if (error instanceof ApiError && error.status === 401) return null;
  throw error;
}

/** Signs in with an API key, whose session becomes a cookie, or with a token, which this tab keeps. */
export async function signIn(credential: string): Promise<Session> {
  const session = credential.split('.').length === 3 ? await withToken(credential) : await withKey(credential);
  queryClient.setQueryData(KEY, session);
  return session;
}

/** Signs in with the token of a link, which works once. */
export async function signInByLink(linkToken: string): Promise<void> {
  setToken(null);
  queryClient.setQueryData(KEY, await post<Session>(['session'], { linkToken }));
}

export async function signOut(): Promise<void> {
  // A token cannot be taken back, only forgotten.
  await remove(['session']).catch(() => undefined);
  forgetSession();
}

/** What was seen under one key must not be seen by whoever signs in next. */
export function forgetSession(): void {
  setToken(null);
  // The session itself stays in the cache: the page watches it, and would not learn of a new entry in its place.
  queryClient.setQueryData(KEY, null);
  queryClient.removeQueries({ predicate: ({ queryKey }) => queryKey[0] !== KEY[0] });
  queryClient.getMutationCache().clear();
}

function withKey(apiKey: string): Promise<Session> {
  setToken(null);
  return post<Session>(['session'], { apiKey });
}

async function withToken(token: string): Promise<Session> {
  setToken(token);
  try {
    return await get<Session>(['session']);
  } catch (error) {
    setToken(null);
    throw error;
  }
}

/** What the role of whoever is signed in may do; what it may not do is not shown. */
export interface Rights {
  session: Session;
  /** Manages queues, runners, keys, alerts, and deletes. */
  isAdmin: boolean;
  /** Creates and steers jobs. */
  isClient: boolean;
  /** Sees the whole system, not only its own jobs. */
  isOperator: boolean;
}

export function rightsOf(session: Session): Rights {
  const is = (...roles: Role[]): boolean => roles.includes(session.role);
  return {
    session,
    isAdmin: is('admin'),
    isClient: is('admin', 'producer', 'user'),
    isOperator: is('admin', 'producer', 'viewer'),
  };
}

export const RightsContext = createContext<Rights | null>(null);

export function useRights(): Rights {
  const rights = useContext(RightsContext);
  if (rights === null) throw new Error('useRights is for what is shown to somebody who is signed in');
  return rights;
}
