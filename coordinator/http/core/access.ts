import type { TokenSettings } from '../../domain/auth/tokens';

/** Who is let in, from where, and how much of it. */
export interface Access {
  /** Host names that requests may be for, in lower case and without ports; null: any. */
  allowedHosts: readonly string[] | null;
  /** Origins of other web pages that may call with a key. */
  corsOrigins: readonly string[];
  /** Which proxies are believed about the client's address and scheme: how many hops, or their addresses. */
  trustProxy: number | readonly string[];
  /** Certificate chain and private key, PEM. */
  tls: { cert: string; key: string } | null;
  tokens: TokenSettings | null;
  /** Failures a minute, for each address and each key id, before there is a pause. */
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
