import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { anyCharacter } from '../../test/support/characters.ts';
import { mustBeWithin } from './json-body.ts';

const LIMITS = { bodyDepth: 3, bodyFields: 4 };

/** The code of the problem; undefined when the body is within the limits. */
function problemWith(text: string): unknown {
  try {
    mustBeWithin(Buffer.from(text), LIMITS);
    return undefined;
  } catch (error) {
    return (error as { problem: { code: string } }).problem.code;
  }
}

describe('the limits of a body', () => {
  it.each([
    ['[[[]]]', undefined],
    ['[[[[]]]]', 'TOO_DEEP'],
    ['{"a":[{}]}', undefined],
    ['{"a":[{"b":[]}]}', 'TOO_DEEP'],
    ['[[[]],[[]],[[]]]', undefined],
    ['"[[[["', undefined],
    [String.raw`"\"[[[["`, undefined],
    [String.raw`"\\",[[[[`, 'TOO_DEEP'],
    ['{"[[[[":"]]]]{{{{"}', undefined],
    ['{"a":1,"b":2,"c":3,"d":4}', undefined],
    ['{"a":1,"b":2,"c":3,"d":4,"e":5}', 'TOO_MANY_FIELDS'],
    ['{"a":1,"a":1,"a":1,"a":1,"a":1}', 'TOO_MANY_FIELDS'],
    ['[{"a":1,"b":2,"c":3},{"a":1,"b":2,"c":3}]', undefined],
    ['{"a":{"a":1,"b":2,"c":3,"d":4},"b":2,"c":3,"d":4}', undefined],
    ['{"a":{"a":1},"b":2,"c":3,"d":4,"e":5}', 'TOO_MANY_FIELDS'],
    ['{"::::":"::::"}', undefined],
    [']]]][[[', undefined],
    ['"', undefined],
    ['"\\', undefined],
    ['', undefined],
  ])('%s: %s', (text, code) => expect(problemWith(text)).toBe(code));

  it('count the same in the bytes as in the parsed value', () => {
    const isWithin = (value: unknown, level = 0): boolean => {
      if (typeof value !== 'object' || value === null) return true;
      const isWide = !Array.isArray(value) && Object.keys(value).length > LIMITS.bodyFields;
      return level < LIMITS.bodyDepth && !isWide && Object.values(value).every((inner) => isWithin(inner, level + 1));
    };
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 5, stringUnit: anyCharacter }), (value) => {
        expect(problemWith(JSON.stringify(value)) === undefined).toBe(isWithin(value));
      }),
    );
  });
});
