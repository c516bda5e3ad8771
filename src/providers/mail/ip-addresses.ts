import { lookup, type LookupAddress } from 'node:dns';
import { isIP, type LookupFunction } from 'node:net';
import ipaddr from 'ipaddr.js';
import { ProviderError } from '../failure.ts';

/**
 * Whether the address may belong to anybody on the internet: neither loopback, private, link-local, shared, multicast or
 * reserved, nor one of these written as IPv6.
 */
export const isPublicAddress = (address: string): boolean =>
  ipaddr.isValid(address) && ipaddr.process(address).range() === 'unicast';

export const isLoopback = (address: string): boolean =>
  ipaddr.isValid(address) && ipaddr.process(address).range() === 'loopback';

/** Throws where the host is an address that is not public. Names are checked as `lookupPublic` resolves them. */
export function mustNotBePrivate(host: string): void {
  if (isIP(host) !== 0 && !isPublicAddress(host)) throw notPublic(host);
}

/** As `dns.lookup`, for a socket, which connects to no other address than these: a name cannot mean another one in between. */
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
