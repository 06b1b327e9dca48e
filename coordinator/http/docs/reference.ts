import { createHash } from 'node:crypto';
import { gzipSync } from 'node:zlib';
import { z } from 'zod';
import { ERRORS } from '../../errors';
import { type AnyEndpoint, endpoint, type Reply, replyText } from '../core/endpoint';
import type { ApiDocument } from './document';
import { renderLlms } from './llms';
import { renderPage } from './page';
import { SCRIPT } from './script';
import { STYLE } from './style';
import { welcomeEndpoint } from './welcome';

/** The names of these files contain a hash of the content. */
const FOR_GOOD = 'public, max-age=31536000, immutable';

/**
 * The API reference for people: one page generated from the OpenAPI document, with its style and script. Nothing is
 * loaded from elsewhere.
 */
export function referenceEndpoints(document: () => object): AnyEndpoint[] {
  let page: string | undefined;
  let text: string | undefined;
  const style = file('/docs/reference.css', 'text/css', STYLE);
  const script = file('/docs/reference.js', 'text/javascript', SCRIPT);
  return [
    endpoint({
      method: 'get',
      path: '/docs',
      summary: 'Read the API reference in a browser',
      roles: 'public',
      replies: { 200: z.string() },
      produces: 'text/html',
      async run({ services, header }) {
        page ??= renderPage({
          document: document() as ApiDocument,
          errors: ERRORS,
          version: services.processState.version,
          style: style.named,
          script: script.named,
        });
        return Promise.resolve(sent(page, 'no-cache', header('accept-encoding')));
      },
    }),
    style.endpoint,
    script.endpoint,
    endpoint({
      method: 'get',
      path: '/llms.txt',
      summary: 'Read the API as plain text for language models',
      roles: 'public',
      replies: { 200: z.string() },
      produces: 'text/plain',
      run: async ({ header }) =>
        Promise.resolve(
          sent((text ??= renderLlms(document() as ApiDocument, ERRORS)), 'no-cache', header('accept-encoding')),
        ),
    }),
    welcomeEndpoint(style.named),
  ];
}

function file(path: string, produces: string, text: string): { named: string; endpoint: AnyEndpoint } {
  const named = `${path}?v=${createHash('sha256').update(text).digest('hex').slice(0, 12)}`;
  const run = async ({ header }: { header(name: string): string | undefined }): Promise<Reply> =>
    Promise.resolve(sent(text, FOR_GOOD, header('accept-encoding')));
  return {
    named,
    endpoint: endpoint({
      method: 'get',
      path,
      summary: `Read the ${produces === 'text/css' ? 'style sheet' : 'script'} of the API reference`,
      roles: 'public',
      replies: { 200: z.string() },
      produces,
      run,
    }),
  };
}

const packed = new Map<string, Buffer>();

function sent(text: string, cacheControl: string, accepted = ''): Reply {
  const headers: Record<string, string> = { 'Cache-Control': cacheControl, Vary: 'Accept-Encoding' };
  if (!/\bgzip\b/.test(accepted)) return { ...replyText(200, text), headers };
  const body = packed.get(text) ?? gzipSync(text);
  packed.set(text, body);
  return {
    status: 200,
    body: null,
    headers: { ...headers, 'Content-Encoding': 'gzip' },
    bytes: body,
  };
}
