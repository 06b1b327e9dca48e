import { Failure } from '../exit-codes';
import type { Streams } from '../terminal/terminal';
import { readText } from './files';
import { splitPair } from './values';

/**
 * A JSON value: as text, from a file with `@file`, or from standard input with `-`.
 * @throws {Failure} that says where the text stops to be JSON
 */
export async function readJson(source: string, what: string, streams: Pick<Streams, 'stdin'>): Promise<unknown> {
  const path = source === '-' ? '-' : source.startsWith('@') ? source.slice(1) : undefined;
  const text = path === undefined ? source : await readText(path, streams);
  const place = path === undefined ? what : path === '-' ? 'standard input' : path;
  return parseJsonText(text, place);
}

/** @throws {Failure} also for integers that would be stored as other numbers */
export async function parseJsonText(text: string, place: string): Promise<unknown> {
  const { jsonFault, parseJson } = await import('@baton/runner-sdk/protocol');
  let value: unknown;
  try {
    value = parseJson(text);
  } catch {
    throw new Failure(
      'usage',
      `${place} is not JSON: ${jsonFault(text)}`,
      'Quote it for your shell, such as \'{"movieId": 603}\', or read it from a file with @file.',
    );
  }
  const lost = firstBigInt(value);
  if (lost === undefined) return value;
  throw new Failure('usage', `${place} holds ${lost}, a whole number that JSON's readers change`, 'Send it as text.');
}

/** @throws {Failure} when it is not an object */
export async function readJsonObject(
  source: string,
  what: string,
  streams: Pick<Streams, 'stdin'>,
): Promise<Record<string, unknown>> {
  return requireObject(await readJson(source, what, streams), what);
}

export function requireObject(value: unknown, what: string): Record<string, unknown> {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  throw new Failure('usage', `${what} must be a JSON object, such as {"movieId": 603}`);
}

/** `name=text` and `name:=JSON`, as members of one object. */
export async function readMembers(pairs: readonly string[]): Promise<Record<string, unknown>> {
  const members = new Map<string, unknown>();
  for (const pair of pairs) {
    const [name, text] = splitPair(pair, 'movie=603, or movieId:=603 for JSON');
    if (name.endsWith(':'))
      members.set(name.slice(0, -1), await parseJsonText(text, `the value of ${name.slice(0, -1)}`));
    else members.set(name, text);
  }
  return Object.fromEntries(members);
}

function firstBigInt(value: unknown): bigint | undefined {
  if (typeof value === 'bigint') return value;
  if (typeof value !== 'object' || value === null) return undefined;
  for (const member of Object.values(value)) {
    const found = firstBigInt(member);
    if (found !== undefined) return found;
  }
  return undefined;
}
