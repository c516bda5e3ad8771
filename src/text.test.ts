import { describe, expect, it } from '@jest/globals';
import { z } from 'zod';
import { listOf, storable } from './text.ts';

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

  it('that is too long is not looked at', () => {
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

  it('that is too long is refused before its items are looked at', () => {
    let looks = 0;
    const item = z.unknown().refine(() => ++looks > 0);
    expect(listOf(item, 2).safeParse([1, 2, 3]).error?.issues).toHaveLength(1);
    expect(looks).toBe(0);
  });
});
