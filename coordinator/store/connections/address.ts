import { readFileSync } from 'node:fs';
import type { ConnectionOptions } from 'node:tls';
import { DatabaseFault } from './fault';

/** The schema of Baton's tables when `DATABASE_URL` names none. */
export const DEFAULT_SCHEMA = 'baton';

export const SSL_MODES = ['disable', 'allow', 'prefer', 'require', 'verify-ca', 'verify-full'] as const;
export type SslMode = (typeof SSL_MODES)[number];

/** Undefined: `PGHOST` and so on, as with libpq, else the driver's default. */
export interface DatabaseServer {
  host: string | undefined;
  port: number | undefined;
}

/** The content of a database address, read as libpq does for the parameters that libpq knows. */
export interface DatabaseAddress {
  /** At least one. Of several, the one that takes writes is found when connections are made. */
  servers: readonly [DatabaseServer, ...DatabaseServer[]];
  user: string | undefined;
  password: string | undefined;
  database: string | undefined;
  /** The schema of all of Baton's tables, and whether the address names it. */
  schema: string;
  namesSchema: boolean;
  /**
   * Sent when the session starts, such as `-c work_mem=64MB`. Settings that Baton relies on are set afterwards and
   * override it.
   */
  options: string | undefined;
  sslMode: SslMode;
  /** TLS options; read only for modes that may use TLS. */
  tls: ConnectionOptions;
}

/**
 * A `postgresql://` address as a URL. Several servers (`host1:5432,host2:5432`), which no URL can have, become the
 * parameters `host` and `port`, as libpq has them too.
 * @throws {TypeError} when it is none
 */
export function parseAddress(text: string): URL {
  const [, start = '', authority = '', rest = ''] =
    /^([^:/?#]+:\/\/(?:[^/?#]*@)?)([^@/?#]*,[^@/?#]*)(.*)$/.exec(text) ?? [];
  if (authority === '') return new URL(text);
  const servers = authority.split(',').map((each) => new URL(`postgresql://${each}`));
  const url = new URL(`${start}${servers[0]?.hostname ?? ''}${rest}`);
  url.searchParams.set('host', servers.map(({ hostname }) => hostname).join(','));
  url.searchParams.set('port', servers.map(({ port }) => port || '5432').join(','));
  return url;
}

/**
 * Reads a `postgresql://` address. Unknown parameters, such as those of other programs' connection pools, are ignored.
 * @throws {DatabaseFault} for a mode, file, schema or choice of servers that cannot be used
 */
export function readAddress(text: string): DatabaseAddress {
  const url = parseAddress(text);
  const parameters = url.searchParams;
  const named = parameters.get('schema');
  const sslMode = readSslMode(parameters);
  const servers = readServers(url);
  const isSocket = servers.every(({ host }) => host?.startsWith('/') ?? false);
  return {
    servers,
    user: decoded(url.username) || (parameters.get('user') ?? undefined),
    password: decoded(url.password) || (parameters.get('password') ?? undefined),
    database: decoded(url.pathname.slice(1)) || (parameters.get('dbname') ?? undefined),
    schema: readSchema(named),
    namesSchema: named !== null,
    options: parameters.get('options') ?? undefined,
    // As with libpq, a Unix socket is not encrypted.
    sslMode: isSocket ? 'disable' : sslMode,
    tls: isSocket || sslMode === 'disable' ? {} : readTls(parameters, sslMode),
  };
}

/** `host:port` of each server, for messages. */
export function describeAddress({ servers }: Pick<DatabaseAddress, 'servers'>): string {
  return servers
    .map(({ host = 'localhost', port = 5432 }) => `${host.includes(':') ? `[${host}]` : host}:${port}`)
    .join(', ');
}

/** What `target_session_attrs` may be: Baton writes. */
const WRITABLE = ['any', 'read-write', 'primary'];

function readServers({ hostname, port, searchParams }: URL): DatabaseAddress['servers'] {
  const wanted = searchParams.get('target_session_attrs') ?? 'any';
  if (!WRITABLE.includes(wanted))
    throw new DatabaseFault(
      `DATABASE_URL has target_session_attrs=${wanted}, and Baton writes to its database. Use read-write, or leave it out: of several servers the one that takes writes is found anyway.`,
    );
  const hosts = (searchParams.get('host') ?? decoded(hostname)).split(',');
  const ports = (port || (searchParams.get('port') ?? '')).split(',');
  if (ports.length !== 1 && ports.length !== hosts.length)
    throw new DatabaseFault(
      `DATABASE_URL names ${hosts.length} hosts and ${ports.length} ports. Give one port, or one for each host.`,
    );
  const [first, ...others] = hosts.map((host, index) => ({
    host: host.trim().replace(/^\[(.*)\]$/, '$1') || undefined,
    port: Number(ports[index] ?? ports[0]) || undefined,
  }));
  return [first ?? { host: undefined, port: undefined }, ...others];
}

/** PostgreSQL truncates longer names, so the schema would have another name. */
const MOST_SCHEMA_BYTES = 63;

function readSchema(named: string | null): string {
  const schema = named ?? DEFAULT_SCHEMA;
  const isUsable = schema !== '' && Buffer.byteLength(schema) <= MOST_SCHEMA_BYTES && !schema.includes('\0');
  if (!isUsable || /^pg_/.test(schema))
    throw new DatabaseFault(
      `DATABASE_URL names the schema "${schema}", which cannot be used: a name has 1 to ${MOST_SCHEMA_BYTES} bytes and does not begin with pg_. ` +
        `Change ?schema=, or leave it out for "${DEFAULT_SCHEMA}".`,
    );
  return schema;
}

function readSslMode(parameters: URLSearchParams): SslMode {
  const mode = parameters.get('sslmode');
  if (mode === null) return readSsl(parameters.get('ssl'));
  // The driver's own name for an encrypted connection without verification.
  if (mode === 'no-verify') return 'require';
  const known = SSL_MODES.find((each) => each === mode);
  if (known !== undefined) return known;
  throw new DatabaseFault(`DATABASE_URL has sslmode=${mode}, which is none of ${SSL_MODES.join(', ')}.`);
}

/** The older `ssl=true`, which other drivers use; libpq's default is `prefer`. */
function readSsl(ssl: string | null): SslMode {
  if (ssl === null) return 'prefer';
  if (/^(0|false|off|no)$/i.test(ssl)) return 'disable';
  return ssl === 'no-verify' ? 'require' : 'verify-full';
}

function readTls(parameters: URLSearchParams, mode: SslMode): ConnectionOptions {
  const root = parameters.get('sslrootcert');
  const isSystem = root === null || root === 'system';
  if (mode === 'verify-ca' && isSystem)
    throw new DatabaseFault(
      'DATABASE_URL has sslmode=verify-ca without sslrootcert: any certificate of any public authority would do. ' +
        'Name the authority with sslrootcert=FILE, or use sslmode=verify-full.',
    );
  const [cert, key] = [parameters.get('sslcert'), parameters.get('sslkey')];
  const password = parameters.get('sslpassword');
  // With a certificate authority, `require` verifies it, as libpq does.
  const isVerified = mode === 'verify-full' || mode === 'verify-ca' || (mode === 'require' && !isSystem);
  return {
    rejectUnauthorized: isVerified,
    ...(isVerified && mode !== 'verify-full' ? { checkServerIdentity: () => undefined } : {}),
    ...(isSystem ? {} : { ca: readPem('sslrootcert', root) }),
    ...(cert === null ? {} : { cert: readPem('sslcert', cert) }),
    ...(key === null ? {} : { key: readPem('sslkey', key) }),
    ...(password === null ? {} : { passphrase: password }),
  };
}

function readPem(parameter: string, file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    throw new DatabaseFault(`DATABASE_URL has ${parameter}=${file}, a file that cannot be read.`);
  }
}

/** Decodes percent-encoding; a stray `%` stays as it is. */
function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
