import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { extname, join } from 'node:path';
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import type { Request, Response } from 'express';
import { BatonError } from '../errors';
import { findShipped } from '../shipped';
import { addressOwner } from './core/answer';
import { withStyleNonce } from './core/browser';
import type { UnsentAnswers } from './core/unsent-answers';
import { type ResponseHeaders, setHeaders } from './core/response-headers';

// Serves the built files of the dashboard, which gets all its data from the API like any other client.

const NONCE_PLACEHOLDER = /__CSP_NONCE__/g;
/** URLs in the page are relative to its folder. */
const OWN_ADDRESS = /(src|href)="\.\//g;
const FILE = /^(?:assets\/)?[\w-]+(?:\.[\w-]+)+$/;
const TYPES = new Map([
  ['.js', 'text/javascript'],
  ['.css', 'text/css'],
  ['.svg', 'image/svg+xml'],
]);
/** File names contain a hash of the content. */
const FOR_GOOD = 'public, max-age=31536000, immutable';

/** Matches its path and all paths below. */
export const DASHBOARD_PATH = /^\/dashboard(?:\/|$)/;

interface File {
  plain: Buffer;
  packed: Buffer;
}

const compress = promisify(gzip);
const assets = new Map<string, File>();

/**
 * Answers with a file of the dashboard, or with its page for every other path, from which the page derives the screen.
 * @throws {BatonError} `not_found` when the dashboard was not built, or for a file that it does not have
 */
export async function serveDashboard(
  request: Request,
  response: Response,
  headers: ResponseHeaders,
  unsent: UnsentAnswers,
): Promise<void> {
  const [path = '/'] = request.originalUrl.split('?');
  const rest = path.slice('/dashboard'.length);
  if (rest === '') return redirect(response, headers);
  const name = rest.slice(1);
  if (FILE.test(name)) return sendFile(request, response, headers, unsent, name);
  await sendPage(response, headers, '../'.repeat(name.split('/').length - 1));
}

/**
 * Without the slash, relative URLs would be resolved against the parent folder. The redirect is relative, because a
 * proxy may have stripped a prefix.
 */
function redirect(response: Response, headers: ResponseHeaders): void {
  setHeaders(response, headers.left());
  response.writeHead(308, { Location: 'dashboard/', 'Content-Length': '0' }).end();
}

/** Each answer has its own nonce, used by styles that are created in the page. */
async function sendPage(response: Response, headers: ResponseHeaders, up: string): Promise<void> {
  const page = await read('index.html');
  const nonce = randomBytes(16).toString('base64url');
  const lines = headers.left();
  setHeaders(response, lines);
  const at = lines.findIndex((line) => line.toLowerCase() === 'content-security-policy');
  const policy = response.getHeader('content-security-policy') ?? lines[at + 1];
  response.setHeader('Content-Security-Policy', withStyleNonce(String(policy), nonce));
  response.setHeader('Content-Type', 'text/html; charset=utf-8');
  response.setHeader('Cache-Control', 'no-store');
  response.end(
    page
      .toString()
      .replace(NONCE_PLACEHOLDER, nonce)
      .replace(OWN_ADDRESS, `$1="${up === '' ? './' : up}`),
  );
}

async function sendFile(
  request: Request,
  response: Response,
  headers: ResponseHeaders,
  unsent: UnsentAnswers,
  name: string,
): Promise<void> {
  const isAsset = name.startsWith('assets/');
  const file = assets.get(name) ?? (await pack(name));
  if (isAsset) assets.set(name, file);
  const isPacked = /\bgzip\b/.test(request.headers['accept-encoding'] ?? '');
  const body = isPacked ? file.packed : file.plain;
  const owner = addressOwner(request.ip);
  unsent.requireRoom(owner, body.length);
  setHeaders(response, headers.left());
  response.setHeader('Content-Type', `${TYPES.get(extname(name)) ?? 'application/octet-stream'}; charset=utf-8`);
  response.setHeader('Cache-Control', isAsset ? FOR_GOOD : 'no-cache');
  response.setHeader('Vary', 'Accept-Encoding');
  if (isPacked) response.setHeader('Content-Encoding', 'gzip');
  response.setHeader('Content-Length', String(body.length));
  response.end(body);
  const taken = unsent.written(response, owner, body.length, () => request.socket.destroy());
  response.once('close', () => taken?.());
}

async function pack(name: string): Promise<File> {
  const plain = await read(name);
  return { plain, packed: await compress(plain) };
}

async function read(name: string): Promise<Buffer> {
  const folder = findShipped(join('dashboard', 'dist'), 'index.html');
  if (folder === null)
    throw new BatonError(
      'not_found',
      'The dashboard was not built. `npm run setup` builds it; everything else of the API works without it.',
    );
  try {
    return await readFile(join(folder, name));
  } catch {
    throw new BatonError(
      'not_found',
      `The dashboard has no file ${name}. It may have been built anew: reload the page.`,
    );
  }
}
