import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { z } from 'zod';
import { fold, listOf, storable } from './text.ts';

describe('text', () => {
  it.each([
    ['abcd', true],
    ['abcde', false],
    ['\u{1F3B5}'.repeat(4), true],
    ['\u{1F3B5}'.repeat(5), false],
    ['e\u0301e\u0301', true],
    ['\0', false],
    ['\ud800', false],
  ])('%j is accepted: %s', (value, accepted) => expect(storable(4).safeParse(value).success).toBe(accepted));

  it('that is too long is refused without further checks', () => {
    const issues = storable(4).safeParse('\0'.repeat(9)).error?.issues;
    expect(issues?.map(({ message }) => message)).toEqual(['must have at most 4 characters']);
  });
});

describe('a list', () => {
  it.each([
    [[], false],
    [['a'], true],
    [['a', 'b'], true],
    [['a', 1], false],
    ['a', false],
  ])('%j is accepted: %s', (value, accepted) => expect(listOf(storable(4), 2).safeParse(value).success).toBe(accepted));

  it('that is too long is refused before its items are validated', () => {
    let looks = 0;
    const item = z.unknown().refine(() => ++looks > 0);
    expect(listOf(item, 2).safeParse([1, 2, 3]).error?.issues).toHaveLength(1);
    expect(looks).toBe(0);
  });
});

describe('the fold of a text', () => {
  it.each([
    ['Noël', 'No\u0065\u0308l'],
    ['ΟΔΥΣΣΕΥΣ', 'οδυσσευς'],
    ['ΟΔΥΣΣΕΥΣ ΟΔ', 'οδυσσευσ οδ'],
    ['ſtrange', 'Strange'],
    ['STRASSE', 'straße'],
    ['STRASSE', 'STRAẞE'],
    ['ﬁ', 'FI'],
    ['Ａｂｃ', 'ABC'],
    ['İ', 'i\u0307'],
    ['Ǆ', 'ǆ'],
    ['ᾳ', 'ΑΙ'],
    ['Å', '\u212b'],
    ['K', '\u212a'],
    ['ЖЁЛТЫЙ', 'жёлтый'],
    ['がぎ', 'か\u3099き\u3099'],
    ['ﾊﾟ', 'パ'],
    ['ᏣᎳᎩ', 'ꮳꮃꭹ'],
  ])('is the same for %s and %s', (one, other) => expect(fold(one)).toBe(fold(other)));

  it.each([
    ['Noël', 'Noel'],
    ['ı', 'i'],
    ['ı', 'I'],
    ['生', '牛'],
    ['ö', 'oe'],
  ])('differs for %s and %s', (one, other) => expect(fold(one)).not.toBe(fold(other)));

  it('of one letter can be several letters', () => {
    const folded = ['ß', 'ẞ', 'ς', 'Σ', 'ſ', 'İ', 'ŉ', 'ΐ', 'և', 'ẖ'].map(fold);
    expect(folded).toEqual(['ss', 'ss', 'σ', 'σ', 's', 'i\u0307', '\u02bcn', 'ΐ', 'եւ', 'ẖ']);
  });

  it('folds to itself, and does not depend on case or encoding', () => {
    const text = fc.string({ unit: 'grapheme', maxLength: 20 });
    fc.assert(
      fc.property(text, (each) => {
        const folded = fold(each);
        expect(fold(folded)).toBe(folded);
        for (const form of ['NFC', 'NFD', 'NFKC', 'NFKD']) expect(fold(each.normalize(form))).toBe(folded);
        if (!each.includes('ı')) expect(fold(each.toUpperCase())).toBe(folded);
        expect(fold(each.toLowerCase())).toBe(folded);
      }),
    );
  });
});
