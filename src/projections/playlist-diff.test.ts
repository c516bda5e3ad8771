import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { diffOfLists } from './playlist-diff.ts';

const diff = (from: string, to: string) => diffOfLists(Array.from(from), Array.from(to));

describe('the difference of two lists', () => {
  it.each([
    ['is nothing when they are equal', 'abc', 'abc', {}],
    ['has what was added, at its new place', 'ac', 'abc', { added: [1] }],
    ['has what was removed, at its old place', 'abc', 'ac', { removed: [1] }],
    ['has the one song that was moved to the end', 'abcd', 'bcda', { moved: [{ from: 0, to: 3 }] }],
    ['has the one song that was moved to the front', 'abcd', 'dabc', { moved: [{ from: 3, to: 0 }] }],
    ['counts songs that are there twice', 'aab', 'aba', { moved: [{ from: 2, to: 1 }] }],
    ['has one of two equal songs that was removed', 'aab', 'ab', { removed: [1] }],
  ])('%s', (_, from, to, parts) => {
    expect(diff(from, to)).toEqual({ added: [], removed: [], moved: [], ...parts });
  });

  it('makes the one list of the other', () => {
    const list = fc.array(fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f'), { maxLength: 12 });
    fc.assert(
      fc.property(list, list, (from, to) => {
        const { added, removed, moved } = diffOfLists(from, to);
        const gone = new Set([...removed, ...moved.map((each) => each.from)]);
        const result = from.filter((_, index) => !gone.has(index));
        const placed = [...added, ...moved.map((each) => each.to)].sort((one, other) => one - other);
        for (const index of placed) result.splice(index, 0, to[index]!);
        expect(result).toEqual(to);
        for (const each of moved) expect(from[each.from]).toBe(to[each.to]);
      }),
    );
  });
});
