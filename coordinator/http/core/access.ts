import type { TokenSettings } from '../../domain/auth/tokens';

/** Settings of who may connect, from where, and how many requests and connections are allowed. */
export interface Access {
  /** Host names that requests may name, in lower case and without ports; null: any. */
  allowedHosts: readonly string[] | null;
  /** Origins of other web pages that may call with a key. */
  corsOrigins: readonly string[];
  /** Trusted proxies, whose headers tell the client's address and scheme: a number of hops, or addresses. */
  trustProxy: number | readonly string[];
  /** Certificate chain and private key, PEM. */
  tls: { cert: string; key: string } | null;
  tokens: TokenSettings | null;
  /** Failed logins per minute, for each address and each key id, before further ones are throttled. */
  failedLoginsPerMinute: number;
  parkedPollsPerKey: number;
  requestsPerKey: number;
  socketsPerAddress: number;
  socketsPerKey: number;
  eventStreams: number;
  eventStreamsPerKey: number;
}

export const DEFAULT_ACCESS: Access = {
  allowedHosts: null,
  corsOrigins: [],
  trustProxy: 0,
  tls: null,
  tokens: null,
  failedLoginsPerMinute: 20,
  parkedPollsPerKey: 2000,
  requestsPerKey: 1000,
  socketsPerAddress: 10_000,
  socketsPerKey: 5000,
  eventStreams: 2000,
  eventStreamsPerKey: 200,
};
