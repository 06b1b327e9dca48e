import { isUtf8 } from 'node:buffer';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Transform } from 'node:stream';
import { createBrotliDecompress, createGunzip, createInflate } from 'node:zlib';
import { jsonFault } from '@baton/runner-sdk/protocol';
import { BatonError } from '../../errors';
import { Turns } from '../../turns';
import { parseJson } from './parse-json';

const JSON_TYPE = /^application\/([\w.-]+\+)?json\s*(;|$)/i;
/** Charsets other than UTF-8 and its subset ASCII. */
const OTHER_CHARSET = /;\s*charset\s*=\s*"?(?!(?:utf-?8|us-ascii)"?\s*(?:;|$))/i;

/** What a route takes. */
export interface BodyLimits {
  /** Applies before and after decompression. */
  mostBytes: number;
  /** Whether compressed bodies are accepted. */
  inflates: boolean;
}

/** Most bytes that the request's body may have; the limit, if it is compressed or has no length. */
export function announcedBytes({ headers }: IncomingMessage, { mostBytes }: BodyLimits): number {
  const length = Number(headers['content-length'] ?? 0);
  if (headers['transfer-encoding'] === undefined && !(length > 0)) return 0;
  const isKnown = headers['transfer-encoding'] === undefined && headers['content-encoding'] === undefined;
  return isKnown ? Math.min(length, mostBytes) : mostBytes;
}

/**
 * Reads the request's JSON. If the body is optional, an empty one means `{}`.
 * @param onRead receives the length of the body in bytes, after decompression
 * @throws {BatonError} `unsupported_media_type`, `payload_too_large`, `validation_failed`
 */
export async function readBody(
  request: IncomingMessage,
  response: ServerResponse,
  limits: BodyLimits,
  onRead: (bytes: number) => void = () => undefined,
): Promise<unknown> {
  const { headers } = request;
  const length = Number(headers['content-length'] ?? 0);
  if (headers['transfer-encoding'] === undefined && !(length > 0)) return {};
  requireJson(headers['content-type'] ?? '');
  const inflater = inflaterOf(headers['content-encoding'], limits);
  if (length > limits.mostBytes) {
    request.resume();
    throw tooLarge(limits);
  }
  if (headers.expect !== undefined) response.writeContinue();
  const bytes =
    inflater === null
      ? ((await arrived(request, length)) ?? (await collected(request, request, limits)))
      : await collected(request, request.pipe(inflater), limits);
  onRead(bytes.length);
  return parsed(bytes);
}

function requireJson(type: string): void {
  if (type === 'application/json') return;
  if (!JSON_TYPE.test(type))
    throw new BatonError(
      'unsupported_media_type',
      `The body must be JSON, sent with Content-Type: application/json${type === '' ? '' : `, not ${JSON.stringify(type.slice(0, 100))}`}.`,
    );
  if (OTHER_CHARSET.test(type))
    throw new BatonError('unsupported_media_type', 'The body must be JSON in UTF-8, the only charset that is read.');
}

/**
 * For calls without a body; an empty object is accepted, because many clients send one with every write.
 * @throws {BatonError} `validation_failed`
 */
export async function requireNoBody(
  { method, path }: { method: string; path: string },
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const { headers } = request;
  const length = Number(headers['content-length'] ?? 0);
  if (headers['transfer-encoding'] === undefined && !(length > 0)) return;
  const isReadable = JSON_TYPE.test(headers['content-type'] ?? '') && length <= EMPTY_BODY.mostBytes;
  const sent = isReadable ? await readBody(request, response, EMPTY_BODY) : null;
  if (typeof sent === 'object' && sent !== null && !Array.isArray(sent) && Object.keys(sent).length === 0) return;
  throw new BatonError('validation_failed', `${method.toUpperCase()} ${path} takes no body; leave it out.`);
}

/** Enough for an empty object and white space. */
const EMPTY_BODY: BodyLimits = { mostBytes: 1024, inflates: false };

function inflaterOf(encoding: string | undefined, { inflates }: BodyLimits): Transform | null {
  if (encoding === undefined || encoding.toLowerCase() === 'identity') return null;
  if (!inflates)
    throw new BatonError('unsupported_media_type', 'This call takes no compressed body; leave Content-Encoding out.');
  switch (encoding.toLowerCase()) {
    case 'gzip':
    case 'x-gzip':
      return createGunzip();
    case 'deflate':
      return createInflate();
    case 'br':
      return createBrotliDecompress();
    default:
      throw new BatonError(
        'unsupported_media_type',
        'The body must be plain, or compressed with gzip, deflate or br; Content-Encoding names something else.',
      );
  }
}

/**
 * A body that arrived together with its headers, as short ones do: Node parses everything that arrived before promises
 * continue. So it can be read without four listeners and a flowing stream. Null: more is to come.
 */
async function arrived(request: IncomingMessage, announced: number): Promise<Buffer | null> {
  if (!(announced > 0)) return null;
  await Promise.resolve();
  return request.readableLength === announced ? (request.read() as Buffer | null) : null;
}

/** Everything that `source` (the request, or its decompression) returns, counted while it streams. */
function collected(request: IncomingMessage, source: IncomingMessage | Transform, limits: BodyLimits): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let [length, sent] = [0, 0];
    const refuse = (error: BatonError): void => {
      chunks.length = 0;
      // The rest is discarded, so that the client gets to read the answer.
      request.removeAllListeners('data').removeAllListeners('end').resume();
      if (source !== request) {
        request.unpipe();
        source.destroy();
      }
      reject(error);
    };
    source.on('data', (chunk: Buffer) => {
      length += chunk.length;
      if (length > limits.mostBytes) refuse(tooLarge(limits));
      else chunks.push(chunk);
    });
    source.on('end', () => resolve(joined(chunks, length)));
    source.on('error', () => refuse(source === request ? cutOff() : notCompressed()));
    if (source !== request) {
      // A compressed body that is longer than its content consists of empty blocks.
      request.on('data', (chunk: Buffer) => {
        sent += chunk.length;
        if (sent > limits.mostBytes) refuse(tooLarge(limits));
      });
    }
    request.on('error', () => refuse(cutOff()));
    // The client has disconnected.
    request.on('close', () => {
      if (!request.readableEnded) refuse(cutOff());
    });
  });
}

/** Copying a long body takes noticeable time, so it is done in turns. */
async function joined(chunks: Buffer[], length: number): Promise<Buffer> {
  const [first] = chunks;
  if (chunks.length === 1 && first !== undefined) return first;
  if (length <= MOST_JOINED_BYTES) return Buffer.concat(chunks, length);
  const turns = new Turns();
  const whole = Buffer.allocUnsafeSlow(length);
  let at = 0;
  for (const chunk of chunks) {
    at += chunk.copy(whole, at);
    await turns.next();
  }
  return whole;
}

const MOST_JOINED_BYTES = 1024 * 1024;

async function parsed(bytes: Buffer): Promise<unknown> {
  // Invalid UTF-8 would be stored as something else than was sent.
  if (!isUtf8(bytes)) throw notUtf8();
  const json = bytes.length >= 3 && bytes.readUIntBE(0, 3) === UTF8_MARK ? bytes.subarray(3) : bytes;
  // An empty body may be chunked, without a length.
  if (json.length === 0) return {};
  try {
    return await parseJson(json);
  } catch (error) {
    if (error instanceof BatonError) throw error;
    // Locating the fault in a long body would block the event loop.
    const fault = json.length <= MOST_LOOKED_AT_BYTES ? `: ${jsonFault(json.toString('utf8'))}` : '';
    throw new BatonError('validation_failed', `The body is not JSON${fault}.`);
  }
}

const MOST_LOOKED_AT_BYTES = 64 * 1024;

/** U+FEFF in UTF-8. */
const UTF8_MARK = 0xefbbbf;

function tooLarge({ mostBytes }: BodyLimits): BatonError {
  const most = mostBytes >= 1_048_576 ? `${mostBytes / 1_048_576} MiB` : `${mostBytes / 1024} KiB`;
  return new BatonError(
    'payload_too_large',
    `The request takes more than ${most}, which is the most for this call. Send less, or split it into several.`,
  );
}

function notUtf8(): BatonError {
  return new BatonError('validation_failed', 'The body is not UTF-8, the only charset that is read.');
}

/** The client disconnected, or sent less than it had announced. */
function cutOff(): BatonError {
  return new BatonError('validation_failed', 'The body ended before all of it had come.');
}

function notCompressed(): BatonError {
  return new BatonError('validation_failed', 'The body is not compressed as its Content-Encoding says.');
}
