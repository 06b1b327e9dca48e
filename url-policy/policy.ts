import { isIP } from 'node:net';
import * as ipaddr from 'ipaddr.js';

/** Which addresses untrusted URLs may lead to. */
export interface UrlPolicy {
  /** Host names in lower case that are allowed whatever they resolve to, over http, and on any port. */
  hosts: readonly string[];
  /** Networks that are allowed although they are not public, as address and prefix length. */
  networks: readonly Network[];
  /** Whether http is allowed for hosts that are not listed. */
  isHttpAllowed: boolean;
  /** Allowed ports of hosts that are not listed. */
  ports: readonly number[];
}

/** The environment variables with which an operator allows more; named in refusals. */
export interface PolicySettings {
  /** Hosts and networks. */
  allow: string;
  http: string;
  ports: string;
}

type Network = readonly [ipaddr.IPv4 | ipaddr.IPv6, number];

/** @throws {Error} for an invalid part */
export function readAllowed(parts: string[]): Pick<UrlPolicy, 'hosts' | 'networks'> {
  const hosts: string[] = [];
  const networks: Network[] = [];
  for (const part of parts) {
    const address = readAddress(part);
    if (address !== null) networks.push([address, address.kind() === 'ipv4' ? 32 : 128]);
    else if (part.includes('/')) networks.push(readNetwork(part));
    else if (isHostName(part)) hosts.push(part.toLowerCase());
    else
      throw new Error(`${JSON.stringify(part)} is neither a host name nor an address nor a network such as 10.0.0.0/8`);
  }
  return { hosts, networks };
}

/** What is wrong with a URL, as far as can be told without resolving its name; null: nothing. */
export function urlFault(address: string, policy: UrlPolicy, settings: PolicySettings): string | null {
  if (!URL.canParse(address)) return 'is not a URL';
  const url = new URL(address);
  const host = hostOf(url.hostname);
  if (url.protocol !== 'https:' && url.protocol !== 'http:') return 'must begin with https://';
  if (url.username !== '' || url.password !== '') return 'must not hold a user name or password';
  if (isListed(host, policy)) return null;
  if (isIP(host) !== 0 && !isPublic(host))
    return `must not lead to ${host}, which is no public address; an operator may allow it with ${settings.allow}`;
  if (isLocalName(host))
    return `must not lead to ${host}, which is a local name; an operator may allow it with ${settings.allow}`;
  if (url.protocol === 'http:' && !policy.isHttpAllowed)
    return `must begin with https://; an operator may allow http with ${settings.http}`;
  const port = Number(url.port === '' ? (url.protocol === 'https:' ? 443 : 80) : url.port);
  return policy.ports.includes(port)
    ? null
    : `must have one of the ports ${policy.ports.join(', ')}; an operator may allow others with ${settings.ports}`;
}

/** Whether a connection for this host may go to this address. */
export function mayConnect(hostname: string, address: string, policy: UrlPolicy): boolean {
  return isListedName(hostOf(hostname), policy) || isInNetworks(address, policy) || isPublic(address);
}

/** Whether the settings list the host, so that it is resolved by this machine, including its hosts file. */
export function isListedName(host: string, { hosts }: UrlPolicy): boolean {
  return hosts.includes(host);
}

/** The host of a URL in lower case, without brackets or the root's dot. */
export function hostOf(hostname: string): string {
  return hostname
    .replace(/^\[(.*)\]$/, '$1')
    .replace(/\.$/, '')
    .toLowerCase();
}

/**
 * Whether the address is globally reachable unicast; IPv6 only within 2000::/3, from which all such addresses are
 * assigned.
 */
export function isPublic(address: string): boolean {
  const read = readAddress(address);
  if (read === null || read.range() !== 'unicast') return false;
  return read.kind() === 'ipv4' || ((read as ipaddr.IPv6).parts[0] ?? 0) >> 13 === 1;
}

function isListed(host: string, policy: UrlPolicy): boolean {
  return isListedName(host, policy) || (isIP(host) !== 0 && isInNetworks(host, policy));
}

function isInNetworks(address: string, { networks }: UrlPolicy): boolean {
  const read = readAddress(address);
  return (
    read !== null && networks.some(([network, length]) => read.kind() === network.kind() && read.match(network, length))
  );
}

/**
 * Parses an address; mapped IPv4 becomes IPv4. IPv6 is normalised first, so that `::1.2.3.4` is not mistaken for
 * mapped.
 */
function readAddress(address: string): ipaddr.IPv4 | ipaddr.IPv6 | null {
  const kind = isIP(address);
  if (kind === 4) return ipaddr.parse(address);
  const written = `http://[${address}]`;
  return kind === 6 && URL.canParse(written) ? ipaddr.process(new URL(written).hostname.slice(1, -1)) : null;
}

function readNetwork(text: string): Network {
  try {
    if (isIP(text.split('/')[0] ?? '') === 0) throw new Error('no address');
    return ipaddr.parseCIDR(text);
  } catch {
    throw new Error(`${JSON.stringify(text)} is not a network; write it as 10.0.0.0/8 or fd00::/8`);
  }
}

/** Names that end in a number are refused: they are disguised addresses. */
function isHostName(text: string): boolean {
  return (
    text.length <= 253 &&
    /^([a-z0-9_]([a-z0-9_-]*[a-z0-9_])?\.)*[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?$/i.test(text) &&
    !/(^|\.)(\d+|0x[\da-f]*)$/i.test(text)
  );
}

/** Names that are always local, whatever a resolver returns. */
function isLocalName(host: string): boolean {
  return /(^|\.)(localhost|local|localdomain|internal|intranet|lan|home|corp|home\.arpa)$/.test(host);
}
