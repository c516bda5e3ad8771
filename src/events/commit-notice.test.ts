import { expect, it } from '@jest/globals';
import { newId } from './ids.ts';
import { noticesOf, type CommitNotice, parseNotice } from './commit-notice.ts';

const received = (notice: CommitNotice): CommitNotice =>
  noticesOf(notice)
    .map(parseNotice)
    .reduce((all, each) => ({ won: [...all.won, ...each.won], recheck: all.recheck || each.recheck }), {
      won: [],
      recheck: false,
    });

it.each([0, 1, 200, 201, 1_000])('carries %i winners in notices that fit into Postgres', (count) => {
  const notice = { won: Array.from({ length: count }, newId), recheck: false };
  expect(received(notice)).toEqual(notice);
  for (const payload of noticesOf(notice)) expect(payload.length).toBeLessThan(8_000);
});

it('asks for a recheck when more is to be read and after missed notices', () => {
  const notice = { won: [newId()], recheck: true };
  expect(received(notice)).toEqual(notice);
  expect(parseNotice(undefined)).toEqual({ won: [], recheck: true });
});
