import { isUtf8 } from 'node:buffer';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { jsonFault, parseJson } from '@baton/runner-sdk/protocol';
import express from 'express';
import { BatonError } from '../errors';
import type { AnyEndpoint } from './endpoint';

const MOST_BODY_BYTES = 16 * 1024 * 1024;
const JSON_TYPE = /^application\/([\w.-]+\+)?json\s*(;|$)/i;
/** What is read without help: no compression, no other charset. */
const PLAIN_TYPE = /^application\/json\s*(;\s*charset\s*=\s*"?utf-8"?\s*)?$/i;
const BYTE_ORDER_MARK = 0xfeff;

/** Takes compression off. */
const readWithExpress = express.raw({ limit: MOST_BODY_BYTES, type: () => true });
/** Other charsets than UTF-8, of which ASCII is a part. */
const OTHER_CHARSET = /;\s*charset\s*=\s*"?(?!(?:utf-?8|us-ascii)"?\s*(?:;|$))/i;

/**
 * The request's JSON. A call whose body may be left out takes an empty one for `{}`.
 *
 * A plain body is read here, because Express's reader, which knows compression and charsets, costs as much as a tenth of
 * a create; all others go through it.
 * @throws {BatonError} `unsupported_media_type`, `payload_too_large`, `validation_failed`; what Express's reader throws
 */
export async function readBody(request: IncomingMessage, response: ServerResponse): Promise<unknown> {
  const { headers } = request;
  const length = Number(headers['content-length'] ?? 0);
  if (headers['transfer-encoding'] === undefined && !(length > 0)) return {};
  const type = headers['content-type'] ?? '';
  if (type !== 'application/json' && !JSON_TYPE.test(type)) {
    throw new BatonError(
      'unsupported_media_type',
      `The body must be JSON, sent with Content-Type: application/json${type === '' ? '' : `, not ${JSON.stringify(type.slice(0, 100))}`}.`,
    );
  }
  if (headers['content-encoding'] === undefined && PLAIN_TYPE.test(type))
    return parsed((await arrived(request, length)) ?? (await collected(request, length)));
  if (OTHER_CHARSET.test(type))
    throw new BatonError('unsupported_media_type', 'The body must be JSON in UTF-8, the only charset that is read.');
  await new Promise<void>((resolve, reject) => {
    void readWithExpress(request, response, (error?: unknown) =>
      error === undefined
        ? resolve()
        : reject(error instanceof Error ? error : new Error('the body could not be read')),
    );
  });
  return 'body' in request && Buffer.isBuffer(request.body) ? parsed(request.body) : {};
}

/**
 * For calls that take none; an empty object counts as none, because many clients send one with every write.
 * @throws {BatonError} `validation_failed`
 */
export async function requireNoBody(
  { method, path }: Pick<AnyEndpoint, 'method' | 'path'>,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const { headers } = request;
  if (headers['transfer-encoding'] === undefined && !(Number(headers['content-length'] ?? 0) > 0)) return;
  const sent = JSON_TYPE.test(headers['content-type'] ?? '') ? await readBody(request, response) : null;
  if (typeof sent === 'object' && sent !== null && !Array.isArray(sent) && Object.keys(sent).length === 0) return;
  throw new BatonError('validation_failed', `${method.toUpperCase()} ${path} takes no body; leave it out.`);
}

/**
 * A body that came with its head, as short ones do: Node has parsed all that came together before it lets a promise go
 * on. So it can be taken without four listeners and the turns of a stream that flows. Null: there is more to come.
 */
async function arrived(request: IncomingMessage, announced: number): Promise<Buffer | null> {
  if (!(announced > 0 && announced <= MOST_BODY_BYTES)) return null;
  await Promise.resolve();
  return request.readableLength === announced ? (request.read() as Buffer | null) : null;
}

function collected(request: IncomingMessage, announced: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    if (announced > MOST_BODY_BYTES) return refuse(request, reject);
    const chunks: Buffer[] = [];
    let length = 0;
    request.on('data', (chunk: Buffer) => {
      length += chunk.length;
      if (length <= MOST_BODY_BYTES) return void chunks.push(chunk);
      chunks.length = 0;
      refuse(request, reject);
    });
    request.on('end', () => {
      const [first] = chunks;
      resolve(chunks.length === 1 && first !== undefined ? first : Buffer.concat(chunks, length));
    });
    // Nobody is left to be answered.
    request.on('close', () => {
      if (!request.readableEnded) reject(cutOff());
    });
    request.on('error', () => reject(cutOff()));
  });
}

/** The rest is let run past, unread, so that the client comes to read the answer. */
function refuse(request: IncomingMessage, reject: (error: BatonError) => void): void {
  request.removeAllListeners('data').removeAllListeners('end').resume();
  reject(new BatonError('payload_too_large', 'The request takes more than 16 MiB. Split it into several.'));
}

function parsed(bytes: Buffer): unknown {
  if (!isUtf8(bytes)) throw notUtf8();
  const text = bytes.toString('utf8');
  const json = text.charCodeAt(0) === BYTE_ORDER_MARK ? text.slice(1) : text;
  // An empty body may be sent in chunks too, without a length.
  if (json === '') return {};
  try {
    return parseJson(json);
  } catch {
    throw new BatonError('validation_failed', `The body is not JSON: ${jsonFault(json)}.`);
  }
}

function notUtf8(): BatonError {
  return new BatonError('validation_failed', 'The body is not UTF-8, the only charset that is read.');
}

/** The client went away, or sent less than it had announced. */
function cutOff(): BatonError {
  return new BatonError('validation_failed', 'The body ended before all of it had come.');
}
