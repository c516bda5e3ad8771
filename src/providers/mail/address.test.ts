import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { anyCharacter } from '../../../test/support/characters.ts';
import { asciiAddress, isAddress, withoutAddresses } from './address.ts';

describe('an address', () => {
  it.each([
    'user@example.com',
    'user+tag@sub.example.co.id',
    'first.last@example.com',
    "o'brien_%$&=!#*/?^`{|}~-1@example.com",
    '1@1.example',
    'a@b-c.d--e.museum',
    'root@localhost',
    'jürgen@example.com'.replace('ü', 'u'),
    'user@bücher.example',
    'user@例え.テスト',
    'user@xn--bcher-kva.example',
    'USER@EXAMPLE.COM',
    `${'a'.repeat(64)}@example.com`,
    `a@${'b'.repeat(63)}.example`,
  ])('is %s', (text) => expect(isAddress(text)).toBe(true));

  it.each([
    '',
    'a',
    'a@',
    '@b',
    '@b.example',
    'a@b',
    'a@b c',
    'a@b c.example',
    'a b@c.example',
    ' a@b.example',
    'a@b.example ',
    'a@b.example\n',
    'a@b.example\r\nBcc: c@d.example',
    'a\0@b.example',
    'a@b\0.example',
    'a@b.example, c@d.example',
    'a@b.example,c@d.example',
    'a@b.example;c@d.example',
    'a@b@c.example',
    'a@b.example@c.example',
    '<a@b.example>',
    'x <a@b.example>',
    '"x" <a@b.example>',
    '"a"@b.example',
    '"a\r\nb"@c.example',
    '"a@b.example, c"@d.example',
    'a(comment)@b.example',
    'a@(comment)b.example',
    'group:a@b.example;',
    'undisclosed-recipients:;',
    '.a@b.example',
    'a.@b.example',
    'a..b@c.example',
    'a@.b.example',
    'a@b..example',
    'a@b.example.',
    'a@-b.example',
    'a@b-.example',
    'a@b_c.example',
    'a@b%2eexample',
    'a@b.example/c',
    'a@[127.0.0.1]',
    'a@127.0.0.1',
    'a@0x7f.1',
    'a@b.1',
    'jürgen@example.com',
    'a@xn--iñvalid.com',
    'a@b\u3002example',
    'a@b\u200b.example',
    '\ud800@b.example',
    'a@\ud800.example',
    'a@b.example\u2028',
    `${'a'.repeat(65)}@example.com`,
    `a@${'b'.repeat(64)}.example`,
  ])('is not %j', (text) => expect(isAddress(text)).toBe(false));

  it('has at most 254 characters in ASCII', () => {
    const domain = `${'b.'.repeat(100)}example`;
    const longest = `${'a'.repeat(254 - domain.length - 1)}@${domain}`;
    expect(longest).toHaveLength(254);
    expect([isAddress(longest), isAddress(`a${longest}`)]).toEqual([true, false]);
    expect(isAddress(`a@${'ü.'.repeat(40)}example`)).toBe(false);
  });

  it('has its domain in ASCII when it is sent', () => {
    expect(asciiAddress('User@Bücher.example')).toBe('User@xn--bcher-kva.example');
    expect(asciiAddress('user@ｅxample.com')).toBe('user@example.com');
  });

  it('stays the same when it is converted to ASCII twice', () => {
    const word = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 12 });
    const text = fc.oneof(
      fc.tuple(word, word, word).map(([local, a, b]) => `${local}@${a}.${b}`),
      fc.emailAddress(),
      fc.string({ unit: anyCharacter }),
    );
    fc.assert(
      fc.property(text, (each) => {
        const address = asciiAddress(each);
        if (address === undefined) return;
        expect(address).toMatch(/^[!-~]{1,64}@[a-z0-9.-]+$/);
        expect(address.length).toBeLessThanOrEqual(254);
        expect(asciiAddress(address)).toBe(address);
      }),
      { numRuns: 2_000 },
    );
  });
});

it('is removed from the answers of servers', () => {
  expect(withoutAddresses('550 5.1.1 <user+tag@example.com>: unknown, ask "root@b.example".')).toBe(
    '550 5.1.1 <(address)>: unknown, ask "(address)".',
  );
  expect(withoutAddresses('to:a@b.example;c@d.example [e@f.example] g@h.example')).toBe(
    'to:(address);(address) [(address)] (address)',
  );
  expect(withoutAddresses('250 queued as 4F2 at 12:00')).toBe('250 queued as 4F2 at 12:00');
});
