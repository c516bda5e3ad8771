import { lookup, type LookupAddress } from 'node:dns';
import { isIP, type LookupFunction } from 'node:net';
import ipaddr from 'ipaddr.js';
import { ProviderError } from '../failure.ts';

/**
 * Whether the address is a unicast address of the internet: not loopback, private, link-local, shared, multicast or reserved, nor
 * one of these written as IPv6.
 */
export function isPublicAddress(address: string): boolean {
  const parsed = parse(address);
  if (parsed?.range() !== 'unicast') return false;
  return parsed instanceof ipaddr.IPv4 || parsed.match(...GLOBAL_UNICAST);
}

export const isLoopback = (address: string): boolean => parse(address)?.range() === 'loopback';

/** All IPv6 addresses that have been assigned so far. */
const GLOBAL_UNICAST = ipaddr.IPv6.parseCIDR('2000::/3');
const IPV4_COMPATIBLE = ipaddr.IPv6.parseCIDR('::/96');

/** Gives an IPv4 address also for IPv4 written as IPv6: `::ffff:127.0.0.1`, or the deprecated `::7f00:1`. */
function parse(address: string): ipaddr.IPv4 | ipaddr.IPv6 | undefined {
  if (!ipaddr.isValid(address)) return undefined;
  const parsed = ipaddr.process(address);
  const isOfItself = parsed instanceof ipaddr.IPv4 || ['loopback', 'unspecified'].includes(parsed.range());
  if (isOfItself || !parsed.match(...IPV4_COMPATIBLE)) return parsed;
  return new ipaddr.IPv4(parsed.toByteArray().slice(12));
}

/** Throws if the host is an address that is not public. Names are checked by `lookupPublic` when they are resolved. */
export function mustNotBePrivate(host: string): void {
  if (isIP(host) !== 0 && !isPublicAddress(host)) throw notPublic(host);
}

/** As `dns.lookup`, for a socket. The socket connects to the addresses that were checked, so a name cannot change in between. */
export const lookupPublic: LookupFunction = (host, options, callback) => {
  lookup(host, { ...options, all: true }, (error, addresses) => {
    const failure = error ?? failureOf(host, addresses);
    if (failure) callback(failure, '');
    else if (options.all) callback(null, addresses);
    else callback(null, addresses[0]?.address ?? '', addresses[0]?.family);
  });
};

function failureOf(host: string, addresses: readonly LookupAddress[]): Error | undefined {
  if (addresses.length === 0) return new Error(`${host} has no address`);
  return addresses.every(({ address }) => isPublicAddress(address)) ? undefined : notPublic(host);
}

const notPublic = (host: string) =>
  new ProviderError('again', 'MAIL_WEBHOOK_PRIVATE', `${host} is not a public address.`);
