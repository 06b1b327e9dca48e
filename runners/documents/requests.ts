import { shown, type Storage } from '@baton/runner-kit';
import { NonRetryableError } from '@baton/runner-sdk';
import { urlOf, withAddresses } from './addresses';
import type { DevTools } from './devtools';

const ALLOWED = ['Stylesheet', 'Image', 'Font'];
/** Beside what is answered here: no script, no frame, no form. */
const POLICY = [
  "default-src 'none'",
  'img-src * data: s3:',
  'font-src * data: s3:',
  "style-src * 'unsafe-inline' data: s3:",
  "base-uri 'none'",
  "form-action 'none'",
].join('; ');
const TYPES = new Map([
  ['svg', 'image/svg+xml'],
  ['css', 'text/css; charset=utf-8'],
]);

/** Answers what a page asks for: the page itself, and styles, images and fonts from the storage. */
export class Requests {
  /** The first file that the document cannot have. */
  private fault: Error | null = null;
  private bytes = 0;

  constructor(
    private readonly page: DevTools,
    private readonly document: { address: string; html: string },
    private readonly storage: Storage,
    private readonly options: { mostBytes: number; signal: AbortSignal },
  ) {
    page.on('Fetch.requestPaused', (asked) => void this.answer(asked as unknown as Asked));
  }

  /** @throws {Error} that of a file which could not be read, for it was not there, or may not be asked for */
  requireAll(): void {
    if (this.fault !== null) throw this.fault;
  }

  private async answer({ requestId, request, resourceType }: Asked): Promise<void> {
    try {
      const { body, type } = await this.read(request.url, resourceType);
      const headers = { 'content-type': type, 'content-security-policy': POLICY, 'access-control-allow-origin': '*' };
      await this.page.send('Fetch.fulfillRequest', {
        ...{ requestId, responseCode: 200, body: body.toString('base64') },
        responseHeaders: Object.entries(headers).map(([name, value]) => ({ name, value })),
      });
    } catch (error) {
      if (!request.url.endsWith('/favicon.ico')) this.fault ??= error as Error;
      await this.page.send('Fetch.failRequest', { requestId, errorReason: 'BlockedByClient' }).catch(() => undefined);
    }
  }

  private async read(address: string, resourceType: string): Promise<{ body: Buffer; type: string }> {
    if (address === this.document.address && resourceType === 'Document')
      return { body: Buffer.from(withAddresses(this.document.html)), type: 'text/html; charset=utf-8' };
    const url = urlOf(address);
    if (!ALLOWED.includes(resourceType))
      throw refused(`the document asks for ${shown(url ?? address)}, which is no style, image or font`);
    if (url === null) throw refused(`${shown(address)} is relative, and the template has no place: name it in full`);
    const { mostBytes, signal } = this.options;
    const body = await this.storage.read(url, mostBytes - this.bytes, signal);
    this.bytes += body.length;
    const name = (/\.([a-z0-9]+)(\?.*)?$/i.exec(url)?.[1] ?? '').toLowerCase();
    if (resourceType !== 'Stylesheet') return { body, type: TYPES.get(name) ?? 'application/octet-stream' };
    return { body: Buffer.from(withAddresses(body.toString())), type: 'text/css; charset=utf-8' };
  }
}

interface Asked {
  requestId: string;
  request: { url: string };
  resourceType: string;
}

function refused(message: string): NonRetryableError {
  return new NonRetryableError(message, { code: 'documents_refused_request' });
}
