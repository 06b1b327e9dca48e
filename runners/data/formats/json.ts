import { StringDecoder } from 'node:string_decoder';
import type { Item, Row } from '../tools';
import { badFile } from './faults';

const MOST_ROW_LENGTH = 16 * 1024 * 1024;
const QUOTE = 0x22;
const BACKSLASH = 0x5c;

/** One JSON object per line; empty lines are ignored. */
export async function* readNdjson(body: AsyncIterable<Buffer>): AsyncIterable<Item> {
  const decoder = new StringDecoder('utf8');
  let rest = '';
  for await (const chunk of body) {
    const lines = (rest + decoder.write(chunk)).split('\n');
    rest = lines.pop() ?? '';
    if (rest.length > MOST_ROW_LENGTH) throw badFile(`a line has more than ${MOST_ROW_LENGTH} characters`);
    for (const line of lines) if (line.trim() !== '') yield itemOf(line);
  }
  rest += decoder.end();
  if (rest.trim() !== '') yield itemOf(rest);
}

/** An array of objects, one of which is in memory at a time. */
export async function* readJson(body: AsyncIterable<Buffer>): AsyncIterable<Item> {
  const splitter = new ElementSplitter();
  for await (const chunk of body) for (const element of splitter.push(chunk)) yield itemOf(element);
  splitter.end();
}

export async function* writeNdjson(rows: AsyncIterable<Row>): AsyncIterable<string> {
  for await (const row of rows) yield `${JSON.stringify(row)}\n`;
}

export async function* writeJson(rows: AsyncIterable<Row>): AsyncIterable<string> {
  let before = '[\n';
  for await (const row of rows) {
    yield before + JSON.stringify(row);
    before = ',\n';
  }
  yield before === '[\n' ? '[]\n' : '\n]\n';
}

function itemOf(text: string): Item {
  let value: unknown;
  try {
    value = JSON.parse(text.charCodeAt(0) === 0xfeff ? text.slice(1) : text);
  } catch (error) {
    return { reason: `is no JSON: ${error instanceof Error ? error.message : ''}`, values: text.slice(0, 1000) };
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    return { reason: 'is no JSON object', values: value };
  return { row: value as Row };
}

/**
 * Splits the text of an array into those of its elements. Works on bytes, because the bytes of JSON's syntax never
 * occur within other characters.
 */
class ElementSplitter {
  private state: 'before' | 'inside' | 'after' = 'before';
  private depth = 0;
  private isString = false;
  private isEscaped = false;
  private parts: Buffer[] = [];
  private length = 0;
  private hasElement = false;

  *push(chunk: Buffer): Iterable<string> {
    let start = 0;
    for (let at = 0; at < chunk.length; at += 1) {
      const byte = chunk[at] as number;
      if (this.state !== 'inside') start = this.outside(byte, at);
      else if (this.isString) this.insideString(byte);
      else if (byte === QUOTE) this.isString = true;
      else if (byte === 0x7b || byte === 0x5b) this.depth += 1;
      else if (this.depth > 0 && (byte === 0x7d || byte === 0x5d)) this.depth -= 1;
      else if (this.depth === 0 && (byte === 0x2c || byte === 0x5d)) {
        yield* this.element(chunk.subarray(start, at), byte === 0x5d);
        start = at + 1;
      }
    }
    if (this.state === 'inside') this.keep(chunk.subarray(start));
  }

  end(): void {
    if (this.state !== 'after') throw badFile(this.state === 'before' ? 'it is no JSON array' : 'its array has no end');
  }

  /** Returns the start of the first element. */
  private outside(byte: number, at: number): number {
    const isSpace = byte === 0x20 || (byte >= 0x09 && byte <= 0x0d);
    // The three bytes of a byte order mark.
    const isMark = byte === 0xef || byte === 0xbb || byte === 0xbf;
    if (this.state === 'before' && byte === 0x5b) this.state = 'inside';
    else if (!isSpace && !(this.state === 'before' && isMark))
      throw badFile(this.state === 'before' ? 'it is no JSON array' : 'something follows its array');
    return at + 1;
  }

  private insideString(byte: number): void {
    if (this.isEscaped) this.isEscaped = false;
    else if (byte === BACKSLASH) this.isEscaped = true;
    else if (byte === QUOTE) this.isString = false;
  }

  private *element(last: Buffer, isEnd: boolean): Iterable<string> {
    this.keep(last);
    const text = Buffer.concat(this.parts).toString('utf8').trim();
    this.parts = [];
    this.length = 0;
    if (isEnd) this.state = 'after';
    const isEmptyArray = text === '' && isEnd && !this.hasElement;
    this.hasElement = true;
    if (!isEmptyArray) yield text;
  }

  private keep(part: Buffer): void {
    if (part.length === 0) return;
    // A copy, because the stream may reuse its memory.
    this.parts.push(Buffer.from(part));
    this.length += part.length;
    if (this.length > MOST_ROW_LENGTH) throw badFile(`an element has more than ${MOST_ROW_LENGTH} bytes`);
  }
}
