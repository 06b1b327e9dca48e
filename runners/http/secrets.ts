import { NonRetryableError } from '@baton/runner-sdk';
import type { Secret } from './settings';

const PLACEHOLDER = /\{\{\s*secret\.([A-Z0-9_]+)\s*\}\}/g;

/** Inserts secrets into requests to the hosts that may have them, and removes them from what is reported. */
export class Secrets {
  constructor(private readonly secrets: ReadonlyMap<string, Secret>) {}

  /**
   * The text with its placeholders replaced.
   * @throws {NonRetryableError} `http_secret_unknown`, `http_secret_not_for_host`
   */
  fill(text: string, host: string): string {
    return text.replace(PLACEHOLDER, (_placeholder, name: string) => {
      const secret = this.secrets.get(name);
      if (secret === undefined)
        throw new NonRetryableError(`this runner has no secret ${name}: set HTTP_REQUEST_SECRET_${name}`, {
          code: 'http_secret_unknown',
        });
      if (!secret.hosts.includes(host))
        throw new NonRetryableError(
          `the secret ${name} is not for ${host}: an operator may allow it in HTTP_REQUEST_SECRET_HOSTS`,
          { code: 'http_secret_not_for_host' },
        );
      return secret.value;
    });
  }

  /** As `fill`, in every text of a JSON value. */
  fillJson(value: unknown, host: string): unknown {
    if (typeof value === 'string') return this.fill(value, host);
    if (Array.isArray(value)) return value.map((one) => this.fillJson(one, host));
    if (typeof value !== 'object' || value === null) return value;
    return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, this.fillJson(one, host)]));
  }

  /** Whether a text names a secret. */
  isIn(text: string): boolean {
    return text.search(PLACEHOLDER) >= 0;
  }

  /** Removes secrets from text that a server may have sent back. */
  redact(text: string): string {
    let clean = text;
    for (const [name, { value }] of this.secrets)
      for (const form of new Set([value, encodeURIComponent(value), JSON.stringify(value).slice(1, -1)]))
        clean = clean.replaceAll(form, `[${name}]`);
    return clean;
  }
}
