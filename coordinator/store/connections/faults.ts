import { type DatabaseAddress, describeAddress } from './address';
import { DatabaseFault } from './fault';
import { SilentDatabase } from './session';

/**
 * Explains in one line why a connection failed and what to do; undefined for unknown kinds of errors.
 * `mayPass`: a database that is starting or recovering fails in the same way.
 */
export function explainFault(
  error: unknown,
  address: DatabaseAddress,
): { fault: DatabaseFault; mayPass: boolean } | undefined {
  const first = error instanceof AggregateError ? ((error.errors as unknown[])[0] ?? error) : error;
  const text = first instanceof Error ? first.message : String(first);
  const code = first instanceof Error && 'code' in first ? String(first.code) : '';
  const found = FAULTS.find(({ sign }) => sign.test(code) || sign.test(text));
  if (found === undefined && !(first instanceof SilentDatabase)) return undefined;
  const { words, mayPass = false } = found ?? SILENT;
  return { fault: new DatabaseFault(words(address, text.split('\n', 1)[0] ?? '')), mayPass };
}

interface Known {
  /** Matched against the error's code, or else its message. */
  sign: RegExp;
  words: (address: DatabaseAddress, text: string) => string;
  mayPass?: boolean;
}

const SILENT: Known = {
  sign: /gave no answer within|timeout expired|connection timeout|ETIMEDOUT/,
  words: (address) =>
    `The database at ${describeAddress(address)} does not answer. Check host and port in DATABASE_URL, and that a firewall lets connections through.`,
  mayPass: true,
};

/** In the order in which they are tried. */
const FAULTS: Known[] = [
  {
    sign: /^ENOTFOUND$|^EAI_AGAIN$/,
    words: ({ servers }) =>
      `The host ${servers.map(({ host }) => host ?? '').join(' or ')} of DATABASE_URL is not known. Correct its name.`,
    mayPass: true,
  },
  {
    sign: /^ECONNREFUSED$|^EHOSTUNREACH$|^ENETUNREACH$/,
    words: (address) =>
      `No database listens at ${describeAddress(address)}. Start PostgreSQL there, or correct host and port in DATABASE_URL.`,
    mayPass: true,
  },
  {
    sign: /^ENOENT$/,
    words: ({ servers: [{ host = '', port = 5432 }] }) =>
      `There is no socket ${host}/.s.PGSQL.${port} of a PostgreSQL on this machine. Start it, or correct host and port in DATABASE_URL.`,
    mayPass: true,
  },
  SILENT,
  {
    sign: /^25006$/,
    words: (address) =>
      `None of the servers of DATABASE_URL (${describeAddress(address)}) takes writes at the moment: those that answer are standbys, or a primary that was replaced. Start the primary or promote one of them, or name the primary there too.`,
    mayPass: true,
  },
  {
    sign: /^28P01$|^SASL|password authentication failed|client password must be/,
    words: ({ user = 'of this process' }) =>
      `The database refuses the password of user ${user}. Correct it in DATABASE_URL; special characters are percent-encoded there, such as %40 for @.`,
  },
  {
    sign: /^28000$|no pg_hba\.conf entry/,
    words: (_address, text) =>
      `The database lets this user in from here on other terms only, or not at all: ${text}. Correct user and sslmode in DATABASE_URL, or pg_hba.conf.`,
  },
  {
    sign: /^3D000$/,
    words: ({ database = '' }) =>
      `There is no database ${database} on this server. Create it with: CREATE DATABASE "${database}" TEMPLATE template0 ENCODING 'UTF8', or correct its name in DATABASE_URL.`,
  },
  {
    sign: /does not support SSL/,
    words: ({ sslMode }) =>
      `The database has no TLS, and DATABASE_URL asks for it (sslmode=${sslMode}). Turn TLS on there, or use sslmode=prefer or disable.`,
  },
  {
    sign: /^(CERT_|UNABLE_|SELF_SIGNED|DEPTH_ZERO|ERR_TLS_CERT)|certificate/i,
    words: ({ sslMode }, text) =>
      `The certificate of the database is not accepted: ${text}. Name its authority with sslrootcert=FILE in DATABASE_URL, or correct the host; sslmode=${sslMode} verifies it.`,
  },
  {
    sign: /^(ERR_SSL|EPROTO)|SSL connection/,
    words: (address, text) =>
      `No TLS connection to the database at ${describeAddress(address)} could be made: ${text}. Correct sslmode and the files in DATABASE_URL.`,
  },
  {
    sign: /^53300$|^57P03$|^57P01$|^57P02$/,
    words: (_address, text) => `The database takes no connections at the moment: ${text}.`,
    mayPass: true,
  },
  {
    sign: /^08P01$|unsupported startup parameter|received invalid response|Unknown message/i,
    words: (address, text) =>
      `What listens at ${describeAddress(address)} does not serve as a PostgreSQL server does: ${text}. Correct host and port in DATABASE_URL, and connect past poolers, or to one in session mode.`,
  },
  {
    sign: /^ECONNRESET$|^EPIPE$|Connection terminated/,
    words: (address) =>
      `What listens at ${describeAddress(address)} closes connections. Check that it is PostgreSQL, and the host and port in DATABASE_URL.`,
    mayPass: true,
  },
];
