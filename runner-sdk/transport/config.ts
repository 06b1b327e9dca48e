import { ConfigurationError } from './errors';
import { readVariable, unquoted } from './variable';

export interface ConnectionOptions {
  /** One URL, several, or several separated by commas. Default: the environment's `COORDINATOR_URL`. */
  coordinatorUrl?: string | readonly string[] | undefined;
  /** Default: the environment's `RUNNER_KEY`. */
  apiKey?: string | undefined;
  /** `false`: no proxy is used, whatever `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY` are. */
  proxy?: false | undefined;
}

/** Proxies to the coordinator, by the scheme of its URL; an empty text means none. */
export interface Proxies {
  httpProxy: string;
  httpsProxy: string;
  noProxy: string;
}

export interface Connection {
  urls: string[];
  apiKey: string;
  /** Undefined: no proxy is used. */
  proxies?: Proxies;
}

/** The only function in this package that reads connection settings from the environment. */
export function connectionOf(options: ConnectionOptions, environment: NodeJS.ProcessEnv = process.env): Connection {
  const proxies = options.proxy === false ? undefined : proxiesOf(environment);
  return {
    urls: urlsOf(options.coordinatorUrl ?? readVariable('COORDINATOR_URL', environment)),
    apiKey: apiKeyOf(options.apiKey ?? readVariable('RUNNER_KEY', environment)),
    ...(proxies && { proxies }),
  };
}

/** The lower-case names win, as with curl. */
function proxiesOf(environment: NodeJS.ProcessEnv): Proxies | undefined {
  const httpProxy = proxyOf('HTTP_PROXY', firstOf(environment, 'http_proxy', 'HTTP_PROXY'));
  const httpsProxy = proxyOf('HTTPS_PROXY', firstOf(environment, 'https_proxy', 'HTTPS_PROXY'));
  if (httpProxy === '' && httpsProxy === '') return undefined;
  return { httpProxy, httpsProxy, noProxy: firstOf(environment, 'no_proxy', 'NO_PROXY') };
}

/** The first of two names that is set, be it to nothing. */
function firstOf(environment: NodeJS.ProcessEnv, name: string, other: string): string {
  return readVariable(Object.hasOwn(environment, name) ? name : other, environment);
}

function proxyOf(name: string, text: string): string {
  if (text === '') return '';
  const full = text.includes('://') ? text : `http://${text}`;
  if (URL.canParse(full) && /^(https?|socks5?):$/.test(new URL(full).protocol)) return full;
  throw new ConfigurationError(`${name} is not the URL of a proxy; write it like http://proxy.example.com:3128`);
}

function urlsOf(given: string | readonly string[] | undefined): string[] {
  const list = (typeof given === 'object' ? given : unquoted(given).split(','))
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
  const key = unquoted(given);
  if (key === '')
    throw new ConfigurationError('apiKey is missing: pass it, or set RUNNER_KEY to a key of the coordinator');
  if (!/^[\x21-\x7e]+$/.test(key))
    throw new ConfigurationError('apiKey has blanks or characters that are not ASCII; copy the key again');
  return key;
}
