import fc from 'fast-check';
import { describe, expect, it } from '@jest/globals';
import { type CachedResponse, decodeEntry, encodeEntry, isEntryOf, isEpoch, isMark, validityOf } from './cache.ts';

const validity = 'v1#epoch';

describe('an entry', () => {
  it.each<[string, CachedResponse]>([
    ['a body', { body: '{"status":"success"}' }],
    ['an empty body', { body: '' }],
    ['a body of several lines', { body: '\n{\n"a": 1\n}\n\n' }],
    ['a body of all the world', { body: '"Ænima ☃ 𝄞 שלום\u2028"' }],
    ['an etag', { body: '{}', etag: '"12"' }],
    ['one reader', { body: '{}', readers: ['user-1'] }],
    ['readers', { body: '{}', etag: '"1"', readers: ['user-1', 'user-2', 'user-3'] }],
    ['no account that may read it', { body: '{}', readers: [] }],
  ])('keeps %s', (_, answer) => {
    expect(decodeEntry(encodeEntry(validity, answer), validity)).toEqual(answer);
  });

  it('round-trips every response', () => {
    const word = fc.string({ unit: fc.constantFrom('a', '1', '-', '"', '#', '=', '!', '?', '@'), minLength: 1 });
    const answers: fc.Arbitrary<CachedResponse> = fc.record(
      { body: fc.string({ unit: 'grapheme' }), etag: word, readers: fc.array(word) },
      { requiredKeys: ['body'], noNullPrototype: true },
    );
    fc.assert(
      fc.property(answers, (answer) => expect(decodeEntry(encodeEntry(validity, answer), validity)).toEqual(answer)),
    );
  });

  it('is not decoded for another validity, longer or shorter', () => {
    const entry = encodeEntry(validity, { body: '{}' });
    expect(isEntryOf(entry, validity)).toBe(true);
    for (const other of ['v1#other', 'v2#epoch', 'v1#epoch2', 'v1#epoc', 'v1', '']) {
      expect(isEntryOf(entry, other)).toBe(false);
      expect(decodeEntry(entry, other)).toBeUndefined();
    }
  });

  it.each([undefined, '', '?token', '!token@1', '#epoch', `${validity}\n\n*\n{}`, `?${validity}\n\n*\n{}`])(
    'is not %j',
    (value) => {
      expect(decodeEntry(value, validity)).toBeUndefined();
    },
  );
});

describe('the validity of an entry', () => {
  it.each([
    ['of no epochs is the variant', [], 'v1'],
    ['is made of the variant and all epochs', ['#a', '#b'], 'v1#a#b'],
    ['is none while an epoch is missing', ['#a', undefined], undefined],
    ['is none while an epoch is marked', ['!token@1', '#b'], undefined],
    ['is none where something else stands for an epoch', ['=entry'], undefined],
  ])('%s', (_, epochs, expected) => {
    expect(validityOf('v1', epochs)).toBe(expected);
  });

  it('depends on the order of the epochs', () => {
    expect(validityOf('v1', ['#a', '#b'])).not.toBe(validityOf('v1', ['#b', '#a']));
  });
});

describe('a value', () => {
  it.each([
    [undefined, false, false],
    ['', false, false],
    ['=v\n\n*\n#!', false, false],
    ['?token', false, false],
    ['!token@1', true, false],
    ['#epoch', false, true],
  ])('%j is recognised by its first character', (value, mark, epoch) => {
    expect([isMark(value), isEpoch(value)]).toEqual([mark, epoch]);
  });
});
