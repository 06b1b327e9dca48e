import { isIP } from 'node:net';
import * as ipaddr from 'ipaddr.js';

/** What webhooks and callbacks may reach. */
export interface Reach {
  /** Host names in lower case that may be reached wherever they lead, by http, and on any port. */
  hosts: readonly string[];
  /** Networks that may be reached though they are not public, as address and length of the prefix. */
  networks: readonly Network[];
  /** Whether http will do for hosts that are not listed. */
  isHttpAllowed: boolean;
  /** For hosts that are not listed. */
  ports: readonly number[];
}

type Network = readonly [ipaddr.IPv4 | ipaddr.IPv6, number];

/** @throws {Error} for a part that is none */
export function readAllowed(parts: string[]): Pick<Reach, 'hosts' | 'networks'> {
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

/** What is wrong with a URL, as far as it shows before its name is resolved; null: nothing. */
export function urlFault(address: string, reach: Reach): string | null {
  if (!URL.canParse(address)) return 'is not a URL';
  const url = new URL(address);
  const host = hostOf(url.hostname);
  if (url.protocol !== 'https:' && url.protocol !== 'http:') return 'must begin with https://';
  if (url.username !== '' || url.password !== '') return 'must not hold a user name or password';
  if (isListed(host, reach)) return null;
  if (isIP(host) !== 0 && !isPublic(host))
    return `must not lead to ${host}, which is no public address; an operator may allow it with BATON_WEBHOOK_ALLOW`;
  if (isLocalName(host))
    return `must not lead to ${host}, which is a local name; an operator may allow it with BATON_WEBHOOK_ALLOW`;
  if (url.protocol === 'http:' && !reach.isHttpAllowed)
    return 'must begin with https://; an operator may allow http with BATON_WEBHOOK_HTTP';
  const port = Number(url.port === '' ? (url.protocol === 'https:' ? 443 : 80) : url.port);
  return reach.ports.includes(port)
    ? null
    : `must have one of the ports ${reach.ports.join(', ')}; an operator may allow others with BATON_WEBHOOK_PORTS`;
}

/** Whether a connection for this host may go to this address. */
export function mayConnect(hostname: string, address: string, reach: Reach): boolean {
  return isListedName(hostOf(hostname), reach) || isInNetworks(address, reach) || isPublic(address);
}

/** Whether its host is named by the settings, so that it is looked up as this machine does, hosts file included. */
export function isListedName(host: string, { hosts }: Reach): boolean {
  return hosts.includes(host);
}

/** A host of a URL without brackets, the dot of the root, and capital letters. */
export function hostOf(hostname: string): string {
  return hostname
    .replace(/^\[(.*)\]$/, '$1')
    .replace(/\.$/, '')
    .toLowerCase();
}

/** Globally reachable unicast; IPv6 only from 2000::/3, from where all such addresses are given out. */
export function isPublic(address: string): boolean {
  const read = readAddress(address);
  if (read === null || read.range() !== 'unicast') return false;
  return read.kind() === 'ipv4' || ((read as ipaddr.IPv6).parts[0] ?? 0) >> 13 === 1;
}

function isListed(host: string, reach: Reach): boolean {
  return isListedName(host, reach) || (isIP(host) !== 0 && isInNetworks(host, reach));
}

function isInNetworks(address: string, { networks }: Reach): boolean {
  const read = readAddress(address);
  return (
    read !== null && networks.some(([network, length]) => read.kind() === network.kind() && read.match(network, length))
  );
}

/** Mapped IPv4 as what it is. Of several ways to write an IPv6 address one is read, lest `::1.2.3.4` be taken for mapped. */
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

/** Not such as end in a number: those are addresses in disguise. */
function isHostName(text: string): boolean {
  return (
    text.length <= 253 &&
    /^([a-z0-9_]([a-z0-9_-]*[a-z0-9_])?\.)*[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?$/i.test(text) &&
    !/(^|\.)(\d+|0x[\da-f]*)$/i.test(text)
  );
}

/** Names that never lead out, whatever a resolver says. */
function isLocalName(host: string): boolean {
  return /(^|\.)(localhost|local|localdomain|internal|intranet|lan|home|corp|home\.arpa)$/.test(host);
}
