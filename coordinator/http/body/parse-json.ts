import { parseJson as parseShort } from '@baton/runner-sdk/protocol';
import { BatonError } from '../../errors';
import { Turns } from '../../turns';

/** Most bytes that are parsed at once, which takes a few milliseconds. */
const CHUNK_BYTES = 64 * 1024;
const LOOK_AT_CLOCK_EVERY = 16 * 1024;
/** Most lists and objects in one request: each takes two bytes as text, but up to fifty in memory. */
export const MOST_CONTAINERS = 1_000_000;

const [QUOTE, BACKSLASH, COMMA] = [0x22, 0x5c, 0x2c];
const [OPEN_LIST, CLOSE_LIST, OPEN_OBJECT, CLOSE_OBJECT] = [0x5b, 0x5d, 0x7b, 0x7d];
const BLANK = /^[ \t\r\n]*$/;
/** The text before a member's value. */
const NAMED = /:[ \t\r\n]*$/;

/** A container that is too large to be parsed at once. */
interface Container {
  start: number;
  end: number;
  isList: boolean;
  /** Positions of commas between its members. */
  commas: number[];
  /** Its members that are too large as well, and already parsed. */
  large: Parsed[];
}

interface Parsed {
  start: number;
  end: number;
  value: unknown;
}

/**
 * Parses JSON text in UTF-8. Short text is parsed at once. In long text the containers are located first; then pieces
 * that can be parsed at once are parsed one by one and put together. The event loop turns in between, so that a body of
 * 16 MiB does not block it for longer than one of 64 KiB.
 * @throws {BatonError} `payload_too_large` for too many lists and objects; a SyntaxError
 */
export async function parseJson(bytes: Buffer, chunkBytes = CHUNK_BYTES): Promise<unknown> {
  if (bytes.length <= chunkBytes) return parseShort(bytes.toString('utf8'));
  return new LongJson(bytes, chunkBytes).parse();
}

class LongJson {
  /**
   * The containers that are open at the current position: where each starts, its last comma, the last comma that was
   * noted, and from which index on the commas and large members below are its own. Numbers instead of objects, because
   * a body may open a million of them.
   */
  private readonly starts: number[] = [];
  private readonly lastCommas: number[] = [];
  private readonly lastNoted: number[] = [];
  private readonly firstCommas: number[] = [];
  private readonly firstLarge: number[] = [];
  private readonly commas: number[] = [];
  private readonly large: Parsed[] = [];
  private root: Parsed | null = null;
  private containers = 0;
  private readonly turns = new Turns();

  constructor(
    private readonly bytes: Buffer,
    private readonly chunkBytes: number,
  ) {}

  async parse(): Promise<unknown> {
    const { bytes } = this;
    let lookAt = LOOK_AT_CLOCK_EVERY;
    let isInText = false;
    for (let at = 0; at < bytes.length; at += 1) {
      const byte = bytes[at];
      if (isInText) {
        if (byte === BACKSLASH) at += 1;
        else if (byte === QUOTE) isInText = false;
      } else if (byte === QUOTE) {
        // Most strings have no escapes and are skipped at once.
        const end = bytes.indexOf(QUOTE, at + 1);
        isInText = end < 0 || bytes[end - 1] === BACKSLASH;
        if (!isInText) at = end;
      } else {
        const container = this.take(at, byte);
        if (container !== null) await this.keep(container);
      }
      if (at < lookAt) continue;
      lookAt = at + LOOK_AT_CLOCK_EVERY;
      await this.turns.next();
    }
    const { root } = this;
    // A string or number longer than a chunk, or containers that are not closed.
    if (isInText) throw malformed();
    if (root === null)
      return this.starts.length === 0 && this.commas.length === 0 ? parseShort(this.text(0, bytes.length)) : fail();
    if (!BLANK.test(this.text(0, root.start)) || !BLANK.test(this.text(root.end, bytes.length))) throw malformed();
    return root.value;
  }

  /** @returns a container that ends here and is too large to be parsed at once */
  private take(at: number, byte: number | undefined): Container | null {
    switch (byte) {
      case COMMA:
        this.comma(at);
        return null;
      case OPEN_LIST:
      case OPEN_OBJECT:
        this.open(at);
        return null;
      case CLOSE_LIST:
      case CLOSE_OBJECT:
        return this.close(at, byte === CLOSE_LIST);
      default:
        return null;
    }
  }

  private open(at: number): void {
    if (this.root !== null) throw malformed();
    this.containers += 1;
    if (this.containers > MOST_CONTAINERS)
      throw new BatonError(
        'payload_too_large',
        `The request holds more than ${MOST_CONTAINERS} lists and objects. Split it into several.`,
      );
    this.starts.push(at);
    this.lastCommas.push(at);
    this.lastNoted.push(at);
    this.firstCommas.push(this.commas.length);
    this.firstLarge.push(this.large.length);
  }

  /** Notes only as many commas as are needed to cut pieces, and those around a large member. */
  private comma(at: number): void {
    const top = this.starts.length - 1;
    if (top < 0) throw malformed();
    this.lastCommas[top] = at;
    if (at - (this.lastNoted[top] ?? 0) >= this.chunkBytes / 4) this.note(top, at);
  }

  private note(top: number, comma: number): void {
    this.commas.push(comma);
    this.lastNoted[top] = comma;
  }

  /** Null: it can be parsed at once, together with the container around it. */
  private close(at: number, isList: boolean): Container | null {
    const [start, comma, large] = [this.starts.pop(), this.firstCommas.pop(), this.firstLarge.pop()];
    this.lastCommas.pop();
    this.lastNoted.pop();
    if (start === undefined || (this.bytes[start] === OPEN_LIST) !== isList) throw malformed();
    const isLarge = this.starts.length === 0 || at + 1 - start > this.chunkBytes;
    const container = isLarge
      ? { start, end: at, isList, commas: this.commas.slice(comma), large: this.large.slice(large) }
      : null;
    this.commas.length = comma ?? 0;
    this.large.length = large ?? 0;
    return container;
  }

  private async keep(container: Container): Promise<void> {
    const value = container.isList ? await this.list(container) : await this.object(container);
    const parsed = { start: container.start, end: container.end + 1, value };
    const top = this.starts.length - 1;
    if (top < 0) this.root = parsed;
    else {
      const before = this.lastCommas[top] ?? 0;
      if (before > (this.lastNoted[top] ?? 0)) this.note(top, before);
      this.lastNoted[top] = -Infinity;
      this.large.push(parsed);
    }
  }

  private async list(container: Container): Promise<unknown[]> {
    const list: unknown[] = [];
    for (const piece of this.pieces(container)) {
      if (piece.large === null) {
        for (const value of parseShort(`[${piece.text}]`) as unknown[]) list.push(value);
      } else {
        if (!BLANK.test(piece.text) || !BLANK.test(piece.rest)) throw malformed();
        list.push(piece.large);
      }
      await this.turns.next();
    }
    return list;
  }

  private async object(container: Container): Promise<Record<string, unknown>> {
    const object: Record<string, unknown> = {};
    for (const piece of this.pieces(container)) {
      // A 0 stands in for a member that is already parsed.
      const read = parseShort(`{${piece.text}${piece.large === null ? '' : '0'}}`) as Record<string, unknown>;
      if (!BLANK.test(piece.rest) || (piece.large !== null && !NAMED.test(piece.text))) throw malformed();
      for (const [name, value] of Object.entries(read)) define(object, name, piece.large ?? value);
      await this.turns.next();
    }
    return object;
  }

  /** The members of a container, as many at a time as can be parsed at once; larger ones one by one. */
  private *pieces({
    start,
    end,
    commas,
    large,
  }: Container): Iterable<{ text: string; large: object | null; rest: string }> {
    const limits = [...commas, end];
    let from = start + 1;
    let next = 0;
    for (const [index, limit] of limits.entries()) {
      const one = large[next];
      const isLarge = one !== undefined && one.end <= limit;
      const after = limits[index + 1];
      const isFull =
        after === undefined || after - from > this.chunkBytes || isNext(large[isLarge ? next + 1 : next], after);
      if (isLarge) {
        yield { text: this.text(from, one.start), large: one.value as object, rest: this.text(one.end, limit) };
        next += 1;
      } else if (isFull) {
        const text = this.text(from, limit);
        // An empty piece means that a member is missing, unless the whole container is empty.
        if (BLANK.test(text) && (commas.length > 0 || large.length > 0)) throw malformed();
        yield { text, large: null, rest: '' };
      } else continue;
      from = limit + 1;
    }
  }

  private text(from: number, to: number): string {
    return this.bytes.toString('utf8', from, to);
  }
}

/** Whether a member that is already parsed ends before this comma. */
function isNext(large: Parsed | undefined, limit: number): boolean {
  return large !== undefined && large.end <= limit;
}

/** Sets members as `JSON.parse` does: `__proto__` is a member like others. */
function define(object: Record<string, unknown>, name: string, value: unknown): void {
  Object.defineProperty(object, name, { value, writable: true, enumerable: true, configurable: true });
}

function fail(): never {
  throw malformed();
}

function malformed(): SyntaxError {
  return new SyntaxError('not well-formed');
}
