import { describe, expect, it } from '@jest/globals';
import { claim, withCorruptHeader, withCorruptValue, withoutHeader } from '../../test/support/core.ts';
import type { LogRecord } from '../events/record.ts';
import { voidRecord } from '../events/voids.ts';
import { type LogRules, classify, wins } from './arbitrate.ts';

const at = { topic: 't', partition: 0, offset: 7, leaderEpoch: 0 };
const rules: LogRules = { belongs: () => true, isVoid: () => false };
const classified = (record: LogRecord, more: Partial<LogRules> = {}) =>
  classify({ ...record, ...at }, { ...rules, ...more });
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
    ['the first version of a new stream', { version: 1, prev: '' }, undefined, true],
    ['the next version after another record', { version: 4, prev: 'b' }, head, false],
    ['a later version without prev', { version: 4, prev: '' }, head, false],
    ["the head's own version", { version: 3, prev: 'c' }, head, false],
    ['a version that skips one', { version: 5, prev: 'c' }, head, false],
    ['the first version of a stream that has begun', { version: 1, prev: '' }, head, false],
    ['the first version with prev', { version: 1, prev: 'c' }, undefined, false],
    ['the second version of a new stream', { version: 2, prev: '' }, undefined, false],
  ])('%s: %j', (_, record, before, won) => {
    expect(wins(record, before)).toBe(won);
  });
});

describe('classify', () => {
  const record = claim({ stream });

  it('returns a claim for a record of ours in its own partition, even with a corrupt value', () => {
    for (const each of [record, withCorruptValue(record)]) {
      expect(classified(each)).toMatchObject({
        kind: 'claim',
        envelope: { stream, id: record.id, version: 1, prev: '' },
      });
    }
  });

  it.each<[string, LogRecord, Partial<LogRules>, RegExp, boolean]>([
    ['in another partition', record, { belongs: () => false }, /another partition/, true],
    ['without a checksum', withoutHeader(record, 'ce_checksum'), {}, /ce_checksum is missing/, true],
    ['of another program', { key: 'k', value: Buffer.alloc(0), headers: { a: 'b' } }, {}, /is missing/, true],
    ['with a stream id that is too long', claim({ stream: `album-${'x'.repeat(250)}` }), {}, /ce_subject/, true],
    ['that declares its own position void', filler(7), {}, /^a filler$/, false],
    ['that declares another position void', filler(8), {}, /ce_checksum is missing/, true],
    ['that was declared void', record, { isVoid: ({ offset }) => offset === 7 }, /declared void/, false],
    [
      'that is corrupt and was declared void',
      withCorruptHeader(record),
      { isVoid: () => true },
      /declared void/,
      false,
    ],
  ])('returns a loser for a record %s', (_, each, more, reason, alarm) => {
    expect(classified(each, more)).toEqual({ kind: 'loser', reason: expect.stringMatching(reason), alarm });
  });

  it('returns corrupt for a record with a changed header or key', () => {
    expect(classified(withCorruptHeader(record)).kind).toBe('corrupt');
    expect(classified({ ...record, key: 'album-2' }).kind).toBe('corrupt');
    expect(classified(withoutHeader(record, 'ce_actor')).kind).toBe('corrupt');
  });
});
