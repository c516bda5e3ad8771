import { expect, it } from '@jest/globals';
import { newId } from './ids.ts';
import { noticesOf, type Word, wordOf } from './word.ts';

const heard = (word: Word): Word =>
  noticesOf(word)
    .map(wordOf)
    .reduce((all, each) => ({ won: [...all.won, ...each.won], look: all.look || each.look }), { won: [], look: false });

it.each([0, 1, 200, 201, 1_000])('%i winners arrive, in notices that Postgres takes', (count) => {
  const word = { won: Array.from({ length: count }, newId), look: false };
  expect(heard(word)).toEqual(word);
  for (const notice of noticesOf(word)) expect(notice.length).toBeLessThan(8_000);
});

it('says when there is more to know, and when it cannot tell', () => {
  const word = { won: [newId()], look: true };
  expect(heard(word)).toEqual(word);
  expect(wordOf(undefined)).toEqual({ won: [], look: true });
});
