import { Failure } from '../exit-codes';
import type { Streams } from '../terminal/terminal';
import { parseJsonText } from './json';
import { readText } from './files';

/**
 * A file that people write: JSON, or YAML, which JSON is part of; `-` is standard input.
 * @throws {Failure} with line and column of what is wrong
 */
export async function readDocument(file: string, streams: Pick<Streams, 'stdin'>): Promise<unknown> {
  const text = await readText(file, streams);
  if (file.endsWith('.json')) return parseJsonText(text, file);
  const place = file === '-' ? 'standard input' : file;
  const { parseDocument, YAMLParseError } = await import('yaml');
  try {
    const document = parseDocument(text, { intAsBigInt: true, prettyErrors: true });
    const [fault] = document.errors;
    if (fault !== undefined) throw fault;
    return plainNumbers(document.toJS({ maxAliasCount: 100 }), place);
  } catch (error) {
    if (!(error instanceof YAMLParseError) && !(error instanceof ReferenceError)) throw error;
    throw new Failure('usage', `${place} is neither YAML nor JSON: ${error.message.trimEnd()}`);
  }
}

/** Integers are read as bigints, so that none is changed silently. */
function plainNumbers(value: unknown, place: string): unknown {
  if (typeof value === 'bigint') {
    if (Number.isSafeInteger(Number(value))) return Number(value);
    throw new Failure(
      'usage',
      `${place} holds ${value}, a whole number that JSON's readers change`,
      'Send it as text.',
    );
  }
  if (Array.isArray(value)) return value.map((item) => plainNumbers(item, place));
  if (typeof value !== 'object' || value === null || value instanceof Date) return value;
  return Object.fromEntries(Object.entries(value).map(([name, member]) => [name, plainNumbers(member, place)]));
}
