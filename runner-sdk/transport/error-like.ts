import { inspect, types } from 'node:util';

/** What an error has that was made anywhere: in this realm or another, or by a library that only imitates one. */
export interface ErrorLike {
  name?: unknown;
  message?: unknown;
  stack?: unknown;
  code?: unknown;
  cause?: unknown;
  errors?: unknown;
}

/** `instanceof Error` is false for errors of another realm, such as those that Node makes in a test under Jest. */
export function isErrorLike(value: unknown): value is ErrorLike {
  if (typeof value !== 'object' || value === null) return false;
  try {
    if (types.isNativeError(value) || value instanceof Error) return true;
  } catch {
    return false;
  }
  return typeof readProperty(value, 'message') === 'string' && typeof readProperty(value, 'stack') === 'string';
}

/** A property of something that may be anything: one whose getter throws is `undefined`. */
export function readProperty(value: object, key: string): unknown {
  try {
    return Reflect.get(value, key);
  } catch {
    return undefined;
  }
}

/** What an error of our own or of Node says; `messageOf` tells more of what users throw. */
export function errorText(error: unknown): string {
  return isErrorLike(error) ? String(error.message || error.code || error.name) : inspect(error);
}
