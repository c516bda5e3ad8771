import { describe, expect, it } from '@jest/globals';
import { isLoopback, isPublicAddress, lookupPublic, mustNotBePrivate } from './ip-addresses.ts';

describe('a public address', () => {
  it.each([
    '8.8.8.8',
    '1.1.1.1',
    '172.15.0.1',
    '172.32.0.1',
    '100.63.0.1',
    '100.128.0.1',
    '2606:4700::1111',
    '::ffff:8.8.8.8',
  ])('is %s', (address) => expect(isPublicAddress(address)).toBe(true));

  it.each([
    ['loopback', '127.0.0.1', '127.255.255.254', '::1'],
    ['private', '10.0.0.1', '172.16.0.1', '172.31.255.255', '192.168.0.1'],
    ['shared by a carrier', '100.64.0.1', '100.127.255.255'],
    ['link-local', '169.254.169.254', 'fe80::1', 'fe80::1%eth0'],
    ['unique local', 'fc00::1', 'fd00::1', 'fec0::1'],
    ['unspecified', '0.0.0.0', '0.1.2.3', '::'],
    ['multicast', '224.0.0.1', '239.255.255.255', 'ff02::1'],
    ['broadcast', '255.255.255.255'],
    ['reserved', '240.0.0.1', '192.0.2.1', '198.18.0.1', '198.51.100.1', '203.0.113.1', '2001:db8::1', '100::1'],
    ['IPv4 in IPv6', '::ffff:127.0.0.1', '::ffff:a00:1', '::127.0.0.1', '64:ff9b::7f00:1', '64:ff9b:1::1'],
    ['a tunnel', '2002:7f00:1::', '2001::1'],
    ['no address', '', 'localhost', '127.1', '2130706433', '0x7f.0.0.1', '1.2.3.4.5', 'example.com'],
  ])('is not one that is %s', (_, ...addresses) => {
    for (const address of addresses) expect([address, isPublicAddress(address)]).toEqual([address, false]);
  });

  it('is demanded of hosts that are addresses; names are left to the lookup', () => {
    expect(() => mustNotBePrivate('10.0.0.1')).toThrow(/not a public address/);
    expect(() => mustNotBePrivate('::1')).toThrow(/not a public address/);
    expect(() => mustNotBePrivate('8.8.8.8')).not.toThrow();
    expect(() => mustNotBePrivate('localhost')).not.toThrow();
  });

  it.each([true, false])('is demanded of what a name means (all: %s)', async (all) => {
    const { promise, resolve } = Promise.withResolvers<unknown>();
    lookupPublic('localhost', { all }, (...answer) => resolve(answer));
    expect(await promise).toEqual([expect.objectContaining({ kind: 'again', code: 'MAIL_WEBHOOK_PRIVATE' }), '']);
  });
});

describe('an address of this machine', () => {
  it('is loopback in any form', () => {
    for (const address of ['127.0.0.1', '127.9.9.9', '::1', '::ffff:127.0.0.1']) expect(isLoopback(address)).toBe(true);
    for (const address of ['128.0.0.1', '10.0.0.1', '::2', '', 'localhost']) expect(isLoopback(address)).toBe(false);
  });
});
