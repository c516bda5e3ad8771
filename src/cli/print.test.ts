import { describe, expect, it } from '@jest/globals';
import { shown } from './print.ts';

describe('text of others at a terminal', () => {
  it.each([
    ['steers nothing', 'a\u001b[2Jb\u009b1m\u0007', 'a\\u001b[2Jb\\u009b1m\\u0007'],
    ['begins no line of its own', 'a\r\nadmin\u2028b', 'a\\u000d\\u000aadmin\\u2028b'],
    ['does not change the direction of others', 'a\u202ebc\u2066', 'a\\u202ebc\\u2066'],
    ['hides nothing', 'a\u200bb\u{e0041}', 'a\\u200bb\\udb40\\udc41'],
    ['is otherwise as it was written', 'Chris Mártín 😀 ‘×’', 'Chris Mártín 😀 ‘×’'],
  ])('%s', (_, text, expected) => {
    expect(shown(text)).toBe(expected);
  });

  it('is the same JSON as before', () => {
    const value = { name: 'a\u202e\u{e0041}\u009b' };
    expect(JSON.parse(shown(JSON.stringify(value)))).toEqual(value);
  });
});
