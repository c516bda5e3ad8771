import { expect, it } from '@jest/globals';
import { newId } from './ids.ts';
import { noticesOf, type CommitNotice, parseNotice } from './commit-notice.ts';

const heard = (word: CommitNotice): CommitNotice =>
  noticesOf(word)
    .map(parseNotice)
    .reduce((all, each) => ({ won: [...all.won, ...each.won], recheck: all.recheck || each.recheck }), {
      won: [],
      recheck: false,
    });

it.each([0, 1, 200, 201, 1_000])('%i winners arrive, in notices that Postgres takes', (count) => {
  const word = { won: Array.from({ length: count }, newId), recheck: false };
  expect(heard(word)).toEqual(word);
  for (const notice of noticesOf(word)) expect(notice.length).toBeLessThan(8_000);
});

it('says when there is more to know, and when it cannot tell', () => {
  const word = { won: [newId()], recheck: true };
  expect(heard(word)).toEqual(word);
  expect(parseNotice(undefined)).toEqual({ won: [], recheck: true });
});
