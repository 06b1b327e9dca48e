import { lookup } from 'node:dns';
import { Resolver } from 'node:dns/promises';
import { isIP, type LookupFunction } from 'node:net';
import { buildConnector } from 'undici';
import { hostOf, isListedName, mayConnect, type UrlPolicy } from './policy';

/** The policy does not allow the address. Nothing was sent. */
export class UnreachableAddress extends Error {
  readonly code = 'BATON_ADDRESS';
}

interface Address {
  address: string;
  family: number;
}

/** All addresses of a host name; rejects when there are none. */
export type Resolve = (hostname: string) => Promise<Address[]>;

const RESOLVE_TIMEOUT_MS = 2500;
const RESOLVE_TRIES = 2;

/**
 * Connects only to checked addresses: the name is resolved once, all its addresses are checked, and the connection goes
 * to one of them, so a name that resolves differently a moment later gains nothing.
 */
export function checkedConnector(
  policy: UrlPolicy,
  timeoutMs: number,
  resolve: Resolve = resolverOf(policy),
): buildConnector.connector {
  const connect = buildConnector({ timeout: timeoutMs, lookup: checkedLookup(policy, resolve) });
  return (options, callback) => {
    const host = hostOf(options.hostname);
    // A literal address is not resolved, so it is checked here.
    if (isIP(host) === 0 || mayConnect(host, host, policy)) connect(options, callback);
    else callback(new UnreachableAddress(`${host} is not to be reached`), null);
  };
}

function checkedLookup(policy: UrlPolicy, resolve: Resolve): LookupFunction {
  return (hostname, options, callback) => {
    resolve(hostname).then(
      (addresses) => {
        const [first] = addresses;
        if (first === undefined)
          return callback(Object.assign(new Error(`${hostname} has no address`), { code: 'ENOTFOUND' }), '', 0);
        const isAllowed = addresses.every(({ address }) => mayConnect(hostname, address, policy));
        if (!isAllowed)
          return callback(new UnreachableAddress(`${hostname} leads to an address that is not to be reached`), '', 0);
        if (options.all === true) callback(null, addresses);
        else callback(null, first.address, first.family);
      },
      (error: NodeJS.ErrnoException) => callback(error, '', 0),
    );
  };
}

/**
 * Resolves by DNS directly, without the thread pool that other lookups of this process need: slow names must not delay
 * the lookup of the database's host. Names listed in the settings are resolved by the system.
 */
function resolverOf(policy: UrlPolicy): Resolve {
  return async (hostname) => {
    if (isListedName(hostOf(hostname), policy)) return lookUp(hostname);
    const resolver = new Resolver({ timeout: RESOLVE_TIMEOUT_MS, tries: RESOLVE_TRIES });
    const [v4, v6] = await Promise.allSettled([resolver.resolve4(hostname), resolver.resolve6(hostname)]);
    const addresses = [...withFamily(v4, 4), ...withFamily(v6, 6)];
    if (addresses.length === 0 && v4.status === 'rejected') throw v4.reason;
    return addresses;
  };
}

function withFamily(answer: PromiseSettledResult<string[]>, family: number): Address[] {
  return answer.status === 'rejected' ? [] : answer.value.map((address) => ({ address, family }));
}

function lookUp(hostname: string): Promise<Address[]> {
  return new Promise((resolve, reject) => {
    lookup(hostname, { all: true }, (error, addresses) => (error === null ? resolve(addresses) : reject(error)));
  });
}
