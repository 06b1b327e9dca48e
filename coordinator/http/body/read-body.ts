import { isUtf8 } from 'node:buffer';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Transform } from 'node:stream';
import { createBrotliDecompress, createGunzip, createInflate } from 'node:zlib';
import { jsonFault } from '@baton/runner-sdk/protocol';
import { BatonError } from '../../errors';
import { Turns } from '../../turns';
import { parseJson } from './parse-json';

const JSON_TYPE = /^application\/([\w.-]+\+)?json\s*(;|$)/i;
/** Other charsets than UTF-8, of which ASCII is a part. */
const OTHER_CHARSET = /;\s*charset\s*=\s*"?(?!(?:utf-?8|us-ascii)"?\s*(?:;|$))/i;

/** What a route takes. */
export interface BodyLimits {
  /** Counted after decompression, and before it. */
  mostBytes: number;
  /** Whether compressed bodies are taken. */
  inflates: boolean;
}

/** How many bytes the request's body may come to; of one that is compressed, or does not say, the most. */
export function announcedBytes({ headers }: IncomingMessage, { mostBytes }: BodyLimits): number {
  const length = Number(headers['content-length'] ?? 0);
  if (headers['transfer-encoding'] === undefined && !(length > 0)) return 0;
  const isKnown = headers['transfer-encoding'] === undefined && headers['content-encoding'] === undefined;
  return isKnown ? Math.min(length, mostBytes) : mostBytes;
}

/**
 * The request's JSON. A call whose body may be left out takes an empty one for `{}`.
 * @param onRead told how many bytes the body has, after decompression
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
 * For calls that take none; an empty object counts as none, because many clients send one with every write.
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

/** An empty object, and blanks. */
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
 * A body that came with its head, as short ones do: Node has parsed all that came together before it lets a promise go
 * on. So it can be taken without four listeners and the turns of a stream that flows. Null: there is more to come.
 */
async function arrived(request: IncomingMessage, announced: number): Promise<Buffer | null> {
  if (!(announced > 0)) return null;
  await Promise.resolve();
  return request.readableLength === announced ? (request.read() as Buffer | null) : null;
}

/** All that `source` gives, which is the request, or what inflates it; counted while it streams. */
function collected(request: IncomingMessage, source: IncomingMessage | Transform, limits: BodyLimits): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let [length, sent] = [0, 0];
    const refuse = (error: BatonError): void => {
      chunks.length = 0;
      // The rest is let run past, unread, so that the client comes to read the answer.
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
      // As text it is longer than what it inflates to: nothing but empty members.
      request.on('data', (chunk: Buffer) => {
        sent += chunk.length;
        if (sent > limits.mostBytes) refuse(tooLarge(limits));
      });
    }
    request.on('error', () => refuse(cutOff()));
    // Nobody is left to be answered.
    request.on('close', () => {
      if (!request.readableEnded) refuse(cutOff());
    });
  });
}

/** To fill new memory with a long body takes its time. */
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
  // What is no UTF-8 would be stored as something else than was sent.
  if (!isUtf8(bytes)) throw notUtf8();
  const json = bytes.length >= 3 && bytes.readUIntBE(0, 3) === UTF8_MARK ? bytes.subarray(3) : bytes;
  // An empty body may be sent in chunks too, without a length.
  if (json.length === 0) return {};
  try {
    return await parseJson(json);
  } catch (error) {
    if (error instanceof BatonError) throw error;
    // To find the place in a long one would hold the event loop.
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

/** The client went away, or sent less than it had announced. */
function cutOff(): BatonError {
  return new BatonError('validation_failed', 'The body ended before all of it had come.');
}

function notCompressed(): BatonError {
  return new BatonError('validation_failed', 'The body is not compressed as its Content-Encoding says.');
}
