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

  it('is required of a host that is an address; a name is checked by the lookup', () => {
    expect(() => mustNotBePrivate('10.0.0.1')).toThrow(/not a public address/);
    expect(() => mustNotBePrivate('::1')).toThrow(/not a public address/);
    expect(() => mustNotBePrivate('8.8.8.8')).not.toThrow();
    expect(() => mustNotBePrivate('localhost')).not.toThrow();
  });

  it.each([true, false])('is required of the addresses of a name (all: %s)', async (all) => {
    const { promise, resolve } = Promise.withResolvers<unknown>();
    lookupPublic('localhost', { all }, (...answer) => resolve(answer));
    expect(await promise).toEqual([expect.objectContaining({ kind: 'again', code: 'MAIL_WEBHOOK_PRIVATE' }), '']);
  });
});

/** IANA's registries of special-purpose addresses, multicast, and unassigned addresses: the first and last of each. */
const SPECIAL: readonly [block: string, ...addresses: string[]][] = [
  ['0.0.0.0/8', '0.0.0.0', '0.255.255.255'],
  ['10.0.0.0/8', '10.0.0.0', '10.255.255.255'],
  ['100.64.0.0/10', '100.64.0.0', '100.127.255.255'],
  ['127.0.0.0/8', '127.0.0.0', '127.255.255.255'],
  ['169.254.0.0/16', '169.254.0.0', '169.254.255.255'],
  ['172.16.0.0/12', '172.16.0.0', '172.31.255.255'],
  ['192.0.0.0/24', '192.0.0.0', '192.0.0.9', '192.0.0.10', '192.0.0.170', '192.0.0.255'],
  ['192.0.2.0/24', '192.0.2.0', '192.0.2.255'],
  ['192.31.196.0/24', '192.31.196.0', '192.31.196.255'],
  ['192.52.193.0/24', '192.52.193.0', '192.52.193.255'],
  ['192.88.99.0/24', '192.88.99.0', '192.88.99.255'],
  ['192.168.0.0/16', '192.168.0.0', '192.168.255.255'],
  ['192.175.48.0/24', '192.175.48.0', '192.175.48.255'],
  ['198.18.0.0/15', '198.18.0.0', '198.19.255.255'],
  ['198.51.100.0/24', '198.51.100.0', '198.51.100.255'],
  ['203.0.113.0/24', '203.0.113.0', '203.0.113.255'],
  ['224.0.0.0/4', '224.0.0.0', '239.255.255.255'],
  ['240.0.0.0/4', '240.0.0.0', '255.255.255.255'],
  ['::/128, ::1/128', '::', '::1'],
  ['::/96', '::7f00:1', '::127.0.0.1', '::a00:1', '::c0a8:1', '::e000:1'],
  ['::ffff:0:0/96', '::ffff:0:0', '::ffff:7f00:1', '::ffff:10.0.0.1', '::ffff:192.168.0.1', '::ffff:169.254.169.254'],
  ['::ffff:0:0:0/96', '::ffff:0:7f00:1', '::ffff:0:808:808'],
  ['64:ff9b::/96', '64:ff9b::', '64:ff9b::7f00:1', '64:ff9b::ffff:ffff'],
  ['64:ff9b:1::/48', '64:ff9b:1::', '64:ff9b:1:ffff:ffff:ffff:ffff:ffff'],
  ['100::/64', '100::', '100::ffff:ffff:ffff:ffff'],
  ['100:0:0:1::/64', '100:0:0:1::', '100:0:0:1:ffff:ffff:ffff:ffff'],
  ['2001::/23', '2001::', '2001:1::1', '2001:2::1', '2001:3::1', '2001:4:112::1', '2001:1ff:ffff::1'],
  ['2001:10::/28, 2001:20::/28, 2001:30::/28', '2001:10::', '2001:2f:ffff::1', '2001:30::', '2001:3f:ffff::1'],
  ['2001:db8::/32', '2001:db8::', '2001:db8:ffff:ffff:ffff:ffff:ffff:ffff'],
  ['2002::/16', '2002::', '2002:7f00:1::1', '2002:ffff:ffff::1'],
  ['2620:4f:8000::/48', '2620:4f:8000::', '2620:4f:8000:ffff::1'],
  ['3fff::/20', '3fff::', '3fff:fff:ffff::1'],
  ['5f00::/16', '5f00::', '5f00:ffff::1'],
  ['fc00::/7', 'fc00::', 'fdff:ffff::1'],
  ['fe80::/10', 'fe80::', 'febf:ffff::1'],
  ['fec0::/10', 'fec0::', 'feff:ffff::1'],
  ['ff00::/8', 'ff00::', 'ff02::1', 'ffff:ffff::1'],
  ['no global unicast', '::2:0:1', '1::1', '4000::1', '8000::1', 'c000::1', 'fe00::1'],
];

it.each(SPECIAL)('%s is not public', (_, ...addresses) => {
  for (const address of addresses) expect([address, isPublicAddress(address)]).toEqual([address, false]);
});

describe('an address of this machine', () => {
  it('is loopback in any form', () => {
    for (const address of ['127.0.0.1', '127.9.9.9', '::1', '::ffff:127.0.0.1', '::7f00:1', '::127.0.0.1'])
      expect(isLoopback(address)).toBe(true);
    for (const address of ['128.0.0.1', '10.0.0.1', '::2', '', 'localhost']) expect(isLoopback(address)).toBe(false);
  });
});
