import type { z } from 'zod';
import type { Page } from './filters';
import type { Send } from '../transport/transport';
import type { ApiKey, apiKeyList, CreateApiKey, CreatedApiKey } from '../protocol';

export type ApiKeyPage = z.infer<typeof apiKeyList>;

export class ApiKeys {
  constructor(private readonly send: Send) {}

  /** The answer's `key` is shown only once. Not retried when the answer may have been lost. */
  create(key: CreateApiKey): Promise<CreatedApiKey> {
    return this.send({ method: 'POST', path: '/api-keys', body: key, repeatable: false });
  }

  list(page: Page = {}): Promise<ApiKeyPage> {
    return this.send({ method: 'GET', path: '/api-keys', query: page });
  }

  /** Creates a new key of the same name and rights; the old one works beside it for `graceMs` (default one day). */
  rotate(id: string, options: { graceMs?: number | undefined } = {}): Promise<CreatedApiKey> {
    return this.send({ method: 'POST', path: `${keyPath(id)}/rotate`, body: options, repeatable: false });
  }

  revoke(id: string): Promise<ApiKey> {
    return this.send({ method: 'DELETE', path: keyPath(id) });
  }
}

function keyPath(id: string): string {
  return `/api-keys/${encodeURIComponent(id)}`;
}
