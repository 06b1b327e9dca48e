import { z } from 'zod';
import { DEFAULT_ACCESS } from '../http/core/access';

const count = (fallback: number, min: number, max: number) =>
  z.coerce.number().int().min(min).max(max).default(fallback);
const list = z.string().transform((text) =>
  text
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== ''),
);
const isProxies = (text: string): boolean =>
  /^\d{1,2}$/.test(text) ||
  text.split(',').every((part) => /^\s*([\da-f.:]+(\/\d{1,3})?|loopback|linklocal|uniquelocal)\s*$/i.test(part));
const isOrigin = (text: string): boolean => URL.canParse(text) && new URL(text).origin === text;

/** Settings of who may connect, from where, and how many requests and connections are allowed. */
export const accessSettings = {
  BATON_ALLOWED_HOSTS: list
    .refine(
      (hosts) => hosts.every((host) => /^([\w.-]+|\[[\da-f:.]+\])$/i.test(host)),
      'must be host names without ports, separated by commas',
    )
    .optional()
    .describe(
      'Host names that requests may be for, separated by commas; all others are refused, except at /healthz and /readyz. It keeps pages whose name was pointed at this address out. Default: the loopback names when HOST is a loopback address, else any.',
    ),
  BATON_CORS_ORIGINS: list
    .refine(
      (origins) => origins.every(isOrigin),
      'must be origins such as https://app.example.com, separated by commas',
    )
    .optional()
    .describe('Origins of other web pages that may call with a key of their own, separated by commas. Default: none.'),
  BATON_TRUST_PROXY: z
    .string()
    .refine(
      isProxies,
      'must be a number of hops, or addresses and networks separated by commas, such as 10.0.0.0/8 or loopback',
    )
    .optional()
    .describe(
      "Which proxies are believed about the client's address and scheme: how many stand in front, or their addresses. Default: none.",
    ),
  BATON_TLS_CERT_FILE: z
    .string()
    .min(1)
    .optional()
    .describe('A PEM file with the certificate and its chain; with BATON_TLS_KEY_FILE the coordinator serves HTTPS.'),
  BATON_TLS_KEY_FILE: z.string().min(1).optional().describe('A PEM file with the private key of the certificate.'),
  BATON_JWT_SECRET: z
    .string()
    .refine(
      (text) => Buffer.byteLength(text) >= 32,
      'must have at least 32 bytes, such as the output of: openssl rand -base64 48',
    )
    .optional()
    .describe(
      'The secret with which JSON Web Tokens are signed (HS256). Needs BATON_JWT_ISSUER and BATON_JWT_AUDIENCE.',
    ),
  BATON_JWKS_URL: z
    .url({ protocol: /^https?$/, error: 'must be a URL such as https://issuer.example.com/.well-known/jwks.json' })
    .optional()
    .describe(
      'The address of the public keys with which JSON Web Tokens are checked, instead of a secret. Needs BATON_JWT_ISSUER and BATON_JWT_AUDIENCE.',
    ),
  BATON_JWT_ISSUER: z.string().min(1).max(500).optional().describe('What the claim `iss` of a token must be.'),
  BATON_JWT_AUDIENCE: z
    .string()
    .min(1)
    .max(500)
    .optional()
    .describe('What the claim `aud` of a token must be, or contain.'),
  BATON_JWT_ROLE_CLAIM: z
    .string()
    .min(1)
    .max(200)
    .default('baton_role')
    .describe(
      "The claim that holds the caller's role. The user is the claim `sub`; `baton_queues` and `baton_types` limit all roles but admin.",
    ),
  BATON_FAILED_LOGINS_PER_MINUTE: count(DEFAULT_ACCESS.failedLoginsPerMinute, 1, 1_000_000).describe(
    'How many bad credentials an address, or a key id, may bring within a minute, to each coordinator, before it is answered with 429. Good keys are not slowed by it.',
  ),
  BATON_MAX_PARKED_POLLS: count(DEFAULT_ACCESS.parkedPollsPerKey, 1, 1_000_000).describe(
    'How many calls of one key may wait at once, on each coordinator; of all keys, ten times as many.',
  ),
  BATON_MAX_REQUESTS_PER_KEY: count(DEFAULT_ACCESS.requestsPerKey, 1, 1_000_000).describe(
    'How many calls of one key may be under way at once, beside those that wait, on each coordinator; of all keys, ten times as many.',
  ),
  BATON_MAX_SOCKETS_PER_ADDRESS: count(DEFAULT_ACCESS.socketsPerAddress, 1, 1_000_000).describe(
    'How many connections one address may hold, on each coordinator; not counted behind trusted proxies.',
  ),
  BATON_MAX_SOCKETS_PER_KEY: count(DEFAULT_ACCESS.socketsPerKey, 1, 1_000_000).describe(
    'How many connections that last called with one key may be open, on each coordinator; not counted behind trusted proxies.',
  ),
  BATON_MAX_EVENT_STREAMS: count(DEFAULT_ACCESS.eventStreams, 1, 1_000_000).describe(
    'How many streams of events may be open at once, on each coordinator.',
  ),
  BATON_MAX_EVENT_STREAMS_PER_KEY: count(DEFAULT_ACCESS.eventStreamsPerKey, 1, 1_000_000).describe(
    'How many streams of events one key may have open at once, on each coordinator.',
  ),
};

/** The settings as read; the certificate is not loaded yet. */
export interface AccessSettings extends Omit<typeof DEFAULT_ACCESS, 'tls'> {
  tlsFiles: { cert: string; key: string } | null;
}

type Read = z.infer<z.ZodObject<typeof accessSettings>>;

/** @throws {Error} with one line, for settings that contradict each other */
export function readAccess(read: Read, host: string): AccessSettings {
  return {
    allowedHosts: allowedHosts(read.BATON_ALLOWED_HOSTS, host),
    corsOrigins: read.BATON_CORS_ORIGINS ?? [],
    trustProxy: proxies(read.BATON_TRUST_PROXY ?? '0'),
    tlsFiles: tlsFiles(read),
    tokens: tokens(read),
    failedLoginsPerMinute: read.BATON_FAILED_LOGINS_PER_MINUTE,
    parkedPollsPerKey: read.BATON_MAX_PARKED_POLLS,
    requestsPerKey: read.BATON_MAX_REQUESTS_PER_KEY,
    socketsPerAddress: read.BATON_MAX_SOCKETS_PER_ADDRESS,
    socketsPerKey: read.BATON_MAX_SOCKETS_PER_KEY,
    eventStreams: read.BATON_MAX_EVENT_STREAMS,
    eventStreamsPerKey: read.BATON_MAX_EVENT_STREAMS_PER_KEY,
  };
}

function allowedHosts(named: string[] | undefined, host: string): string[] | null {
  if (named !== undefined) return named.map((name) => name.toLowerCase());
  return /^(127\.|::1$|localhost$)/.test(host)
    ? ['localhost', '127.0.0.1', '[::1]', ...(/^127\.(?!0\.0\.1$)/.test(host) ? [host] : [])]
    : null;
}

function proxies(text: string): number | string[] {
  return /^\d+$/.test(text) ? Number(text) : text.split(',').map((part) => part.trim());
}

function tlsFiles({ BATON_TLS_CERT_FILE: cert, BATON_TLS_KEY_FILE: key }: Read): AccessSettings['tlsFiles'] {
  if (cert === undefined && key === undefined) return null;
  if (cert === undefined)
    throw new Error('BATON_TLS_KEY_FILE is set, but BATON_TLS_CERT_FILE is not; HTTPS takes both.');
  if (key === undefined)
    throw new Error('BATON_TLS_CERT_FILE is set, but BATON_TLS_KEY_FILE is not; HTTPS takes both.');
  return { cert, key };
}

function tokens(read: Read): AccessSettings['tokens'] {
  const {
    BATON_JWT_SECRET: secret,
    BATON_JWKS_URL: jwksUrl,
    BATON_JWT_ISSUER: issuer,
    BATON_JWT_AUDIENCE: audience,
  } = read;
  if (secret !== undefined && jwksUrl !== undefined)
    throw new Error(
      'BATON_JWT_SECRET and BATON_JWKS_URL are both set; tokens are checked in one way only, so unset one.',
    );
  const source = secret !== undefined ? { secret } : jwksUrl !== undefined ? { jwksUrl } : null;
  if (source === null) {
    if (issuer !== undefined || audience !== undefined)
      throw new Error(
        'BATON_JWT_ISSUER or BATON_JWT_AUDIENCE is set, but neither BATON_JWT_SECRET nor BATON_JWKS_URL is; tokens need one of them.',
      );
    return null;
  }
  if (issuer === undefined) throw new Error('BATON_JWT_ISSUER must be set, or tokens of any issuer would be taken.');
  if (audience === undefined)
    throw new Error('BATON_JWT_AUDIENCE must be set, or tokens made for other services would be taken.');
  return { source, issuer, audience, roleClaim: read.BATON_JWT_ROLE_CLAIM };
}
