import { describe, expect, it } from '@jest/globals';
import { claim, withCorruptHeader, withCorruptValue, withoutHeader } from '../../test/support/core.ts';
import type { LogRecord } from '../events/record.ts';
import { voidRecord } from '../events/voids.ts';
import { type LogRules, classify, wins } from './arbitrate.ts';

const at = { topic: 't', partition: 0, offset: 7, leaderEpoch: 0 };
const rules: LogRules = { belongs: () => true, isVoid: () => false };
const look = (record: LogRecord, more: Partial<LogRules> = {}) => classify({ ...record, ...at }, { ...rules, ...more });
const filler = (offset: number) =>
  voidRecord({
    type: 'PositionVoided',
    incarnation: '0198c0de-0000-7000-8000-000000000000',
    ...at,
    offset,
    lastOffset: offset,
    reason: 'a test',
    at: '2026-11-22T21:06:18.353Z',
  });
const stream = 'album-0198c0de000070008000000000000000';

describe('the rule', () => {
  const head = { version: 3, id: 'c' };
  it.each([
    ['the next version after the head', { version: 4, prev: 'c' }, head, true],
    ['the first version of nothing', { version: 1, prev: '' }, undefined, true],
    ['the next version after another record', { version: 4, prev: 'b' }, head, false],
    ['the next version after nothing', { version: 4, prev: '' }, head, false],
    ["the head's own version", { version: 3, prev: 'c' }, head, false],
    ['a version too far', { version: 5, prev: 'c' }, head, false],
    ['the first version of a stream that has begun', { version: 1, prev: '' }, head, false],
    ['the first version after something', { version: 1, prev: 'c' }, undefined, false],
    ['the second version of nothing', { version: 2, prev: '' }, undefined, false],
  ])('%s: %j', (_, record, before, won) => {
    expect(wins(record, before)).toBe(won);
  });
});

describe('a record before any head is looked at', () => {
  const record = claim({ stream });

  it('is a claim when it is ours and in its place, whatever its value is', () => {
    for (const each of [record, withCorruptValue(record)]) {
      expect(look(each)).toMatchObject({ kind: 'claim', envelope: { stream, id: record.id, version: 1, prev: '' } });
    }
  });

  it.each<[string, LogRecord, Partial<LogRules>, RegExp, boolean]>([
    ['in the wrong place', record, { belongs: () => false }, /another partition/, true],
    ['without a checksum', withoutHeader(record, 'ce_checksum'), {}, /ce_checksum is missing/, true],
    ['of somebody else', { key: 'k', value: Buffer.alloc(0), headers: { a: 'b' } }, {}, /is missing/, true],
    ['with an id that no index holds', claim({ stream: `album-${'x'.repeat(250)}` }), {}, /ce_subject/, true],
    ['that fills the place of another one', filler(7), {}, /^a filler$/, false],
    ['that would fill another place', filler(8), {}, /ce_checksum is missing/, true],
    ['that was declared void', record, { isVoid: ({ offset }) => offset === 7 }, /declared void/, false],
    [
      'that is corrupt and was declared void',
      withCorruptHeader(record),
      { isVoid: () => true },
      /declared void/,
      false,
    ],
  ])('is a loser %s', (_, each, more, reason, alarm) => {
    expect(look(each, more)).toEqual({ kind: 'loser', reason: expect.stringMatching(reason), alarm });
  });

  it('is corrupt when a header or the key is not what was written', () => {
    expect(look(withCorruptHeader(record)).kind).toBe('corrupt');
    expect(look({ ...record, key: 'album-2' }).kind).toBe('corrupt');
    expect(look(withoutHeader(record, 'ce_actor')).kind).toBe('corrupt');
  });
});
