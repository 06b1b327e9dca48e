import { inspect, types } from 'node:util';

/** Properties of an error of any origin: of this realm or another, or of a library that imitates errors. */
export interface ErrorLike {
  name?: unknown;
  message?: unknown;
  stack?: unknown;
  code?: unknown;
  cause?: unknown;
  errors?: unknown;
}

/** `instanceof Error` is false for errors of another realm, such as those that Node creates in a test under Jest. */
export function isErrorLike(value: unknown): value is ErrorLike {
  if (typeof value !== 'object' || value === null) return false;
  try {
    if (types.isNativeError(value) || value instanceof Error) return true;
  } catch {
    return false;
  }
  return typeof readProperty(value, 'message') === 'string' && typeof readProperty(value, 'stack') === 'string';
}

/** A property of any object; `undefined` if its getter throws. */
export function readProperty(value: object, key: string): unknown {
  try {
    return Reflect.get(value, key);
  } catch {
    return undefined;
  }
}

/** The message of an error of this package or of Node; `messageOf` handles everything that users throw. */
export function errorText(error: unknown): string {
  return isErrorLike(error) ? String(error.message || error.code || error.name) : inspect(error);
}
