import { ConfigurationError } from './errors';

export interface ConnectionOptions {
  /** One URL, several, or several in one text with commas. Default: the environment's `COORDINATOR_URL`. */
  coordinatorUrl?: string | string[];
  /** Default: the environment's `RUNNER_KEY`. */
  apiKey?: string;
}

export interface Connection {
  urls: string[];
  apiKey: string;
}

/** The only reader of the environment in this package. */
export function connectionOf(options: ConnectionOptions, environment: NodeJS.ProcessEnv = process.env): Connection {
  return {
    urls: urlsOf(options.coordinatorUrl ?? environment['COORDINATOR_URL']),
    apiKey: apiKeyOf(options.apiKey ?? environment['RUNNER_KEY']),
  };
}

function urlsOf(given: string | string[] | undefined): string[] {
  const list = (Array.isArray(given) ? given : (given ?? '').split(','))
    .map((url) => url.trim())
    .filter((url) => url !== '');
  if (list.length === 0) {
    throw new ConfigurationError(
      'coordinatorUrl is missing: pass it, or set COORDINATOR_URL, such as http://127.0.0.1:3001',
    );
  }
  return list.map(checkedUrl);
}

function checkedUrl(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : null;
  if (url === null || !['http:', 'https:'].includes(url.protocol)) {
    throw new ConfigurationError(
      `coordinatorUrl ${JSON.stringify(text)} is not an http or https URL; write it like http://127.0.0.1:3001`,
    );
  }
  if (url.username !== '' || url.password !== '' || url.search !== '' || url.hash !== '') {
    throw new ConfigurationError(
      `coordinatorUrl ${url.origin} must have no user, password, query or fragment; the key goes into apiKey`,
    );
  }
  return `${url.origin}${url.pathname.replace(/\/+$/, '')}`;
}

function apiKeyOf(given: string | undefined): string {
  const key = given?.trim() ?? '';
  if (key === '')
    throw new ConfigurationError('apiKey is missing: pass it, or set RUNNER_KEY to a key of the coordinator');
  if (!/^[\x21-\x7e]+$/.test(key))
    throw new ConfigurationError('apiKey has blanks or characters that are not ASCII; copy the key again');
  return key;
}
