import { describe, expect, it } from '@jest/globals';
import { printList, shown } from './print.ts';

describe('text of users at a terminal', () => {
  it.each([
    ['does not control the terminal', 'a\u001b[2Jb\u009b1m\u0007', 'a\\u001b[2Jb\\u009b1m\\u0007'],
    ['begins no line', 'a\r\nadmin\u2028b', 'a\\u000d\\u000aadmin\\u2028b'],
    ['does not change the direction of other text', 'a\u202ebc\u2066', 'a\\u202ebc\\u2066'],
    ['contains no invisible characters', 'a\u200bb\u{e0041}', 'a\\u200bb\\udb40\\udc41'],
    ['is otherwise unchanged', 'Chris Mártín 😀 ‘×’', 'Chris Mártín 😀 ‘×’'],
  ])('%s', (_, text, expected) => {
    expect(shown(text)).toBe(expected);
  });

  it('keeps the meaning of JSON', () => {
    const value = { name: 'a\u202e\u{e0041}\u009b' };
    expect(JSON.parse(shown(JSON.stringify(value)))).toEqual(value);
  });
});

describe('a list', () => {
  const items = [{ name: 'a', age: 1 }];
  const printed = (list: typeof items, json?: boolean) => {
    const lines: string[] = [];
    printList(list, { json }, { line: ({ name }) => name, none: 'There is none.' }, (line) => lines.push(line));
    return lines;
  };

  it('has a line for each item, or says that there is none', () => {
    expect([printed(items), printed([])]).toEqual([['a'], ['There is none.']]);
  });

  it('is a JSON array of all that is known with --json, also when it is empty', () => {
    expect(printed(items, true).map((line) => JSON.parse(line) as unknown)).toEqual([items]);
    expect(printed([], true)).toEqual(['[]']);
  });
});
