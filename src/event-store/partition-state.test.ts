import { describe, expect, it } from '@jest/globals';
import { claim } from '../../test/support/core.ts';
import { fingerprint } from '../events/envelope.ts';
import type { StoredRecord } from '../events/record.ts';
import { PartitionState } from './partition-state.ts';
import type { StoredCheckpoint } from './judgement.ts';

const where = { topic: 't', partition: 0 };
type Records = readonly [StoredRecord, ...StoredRecord[]];

/** Records 0 to 19 of a log, of leader epoch 0. */
const log = Array.from({ length: 20 }, (_, offset): StoredRecord => ({
  ...claim({ stream: `album-${offset}` }),
  ...where,
  offset,
  leaderEpoch: 0,
}));
const from = (start: number, end: number, leaderEpoch = 0) =>
  log.slice(start, end).map((each) => ({ ...each, leaderEpoch })) as unknown as Records;

function begun(next: number, more: Partial<StoredCheckpoint> = {}) {
  const state = new PartitionState(where, 100);
  const before = next > 0 ? fingerprint(log[next - 1]!) : '';
  const offset = state.begin({ ...where, next, fence: 0, fingerprint: before, leaderEpoch: 0, stopped: null, ...more });
  return { state, offset, see: (records: Records) => state.approach(state.checkpoint!, records) };
}
const offsets = (approach: ReturnType<PartitionState['approach']>) =>
  approach.kind === 'apply' ? approach.records.map(({ offset }) => offset) : approach;

describe('approach', () => {
  it('applies entries from the start of the log', () => {
    const { offset, see } = begun(0);
    expect(offset).toBe(0);
    expect(offsets(see(from(0, 3)))).toEqual([0, 1, 2]);
  });

  it('compares the last applied record first', () => {
    const { offset, see } = begun(5);
    expect(offset).toBe(4);
    expect(offsets(see(from(4, 7)))).toEqual([5, 6]);
  });

  it('continues after the last applied record when no entry follows yet', () => {
    const { see } = begun(5);
    expect(see(from(4, 5))).toEqual({ kind: 'continue', next: 5 });
    expect(offsets(see(from(5, 6)))).toEqual([5]);
  });

  it('stops when another record is at the place of the last applied one', () => {
    const { see } = begun(5, { fingerprint: 'of another log' });
    expect(see(from(4, 7))).toEqual({ kind: 'stop', reason: expect.stringMatching(/^at offset 4 .*another log$/) });
  });

  it('returns a gap before the requested offset as a missing entry', () => {
    const found = begun(5).see(from(7, 8));
    expect(found).toMatchObject({ kind: 'apply', records: [{ blank: 'missing', offset: 5, last: 6 }, { offset: 7 }] });
  });

  it('continues when only the record to compare was deleted', () => {
    expect(offsets(begun(5).see(from(5, 7)))).toEqual([5, 6]);
  });

  it('compares nothing after a marker or a void', () => {
    const { offset, see } = begun(5, { fingerprint: '' });
    expect(offset).toBe(5);
    expect(offsets(see(from(5, 7, 3)))).toEqual([5, 6]);
  });

  it('requests once more when entries come too early, and then stops', () => {
    const { state, see } = begun(5);
    see(from(4, 6));
    state.moved({ ...state.checkpoint!, next: 6 }, new Map());
    expect(see(from(2, 4))).toEqual({ kind: 'continue', next: 5 });
    expect(see(from(2, 4))).toMatchObject({ kind: 'stop' });
  });

  it('requests once more when entries come too late, and then returns the gap', () => {
    const { state, see } = begun(5);
    see(from(4, 6));
    state.moved({ ...state.checkpoint!, next: 6 }, new Map());
    expect(see(from(9, 11))).toEqual({ kind: 'continue', next: 6 });
    const gap = { blank: 'missing', offset: 6, last: 8 };
    expect(see(from(9, 11))).toMatchObject({ kind: 'apply', records: [gap, { offset: 9 }, { offset: 10 }] });
  });

  it('stops when entries came too early once and then another record is at the place of the last applied one', () => {
    const { state, see } = begun(5);
    see(from(4, 6));
    state.moved({ ...state.checkpoint!, next: 6, fingerprint: fingerprint(log[5]!) }, new Map());
    expect(see(from(0, 9))).toEqual({ kind: 'continue', next: 5 });
    const other = { ...log[7]!, offset: 5 };
    expect(see([other, ...from(6, 9)])).toMatchObject({ kind: 'stop', reason: expect.stringMatching(/another log$/) });
  });

  it.each([0, 5])('returns a gap between entries, also behind the compared record: from %i', (next) => {
    const { see } = begun(next);
    const records = [...from(Math.max(0, next - 1), 7), ...from(9, 10)] as unknown as Records;
    const found = see(records);
    const last = found.kind === 'apply' ? found.records.slice(-2) : [];
    expect(last).toMatchObject([{ blank: 'missing', offset: 7, last: 8 }, { offset: 9 }]);
  });

  it('applies entries up to another leader epoch, and compares the last applied record before it goes on', () => {
    const { state, see } = begun(0);
    expect(offsets(see([...from(0, 2), ...from(2, 4, 1)] as unknown as Records))).toEqual([0, 1]);
    state.moved({ next: 2, fence: 0, fingerprint: fingerprint(log[1]!), leaderEpoch: 0 }, new Map());
    expect(see(from(2, 4, 1))).toEqual({ kind: 'continue', next: 1 });
    expect(offsets(see([...from(1, 2), ...from(2, 4, 1)] as unknown as Records))).toEqual([2, 3]);
  });

  it('stops when the log is another one under a new leader epoch', () => {
    const { state, see } = begun(0);
    see(from(0, 2));
    state.moved({ next: 2, fence: 0, fingerprint: fingerprint(log[1]!), leaderEpoch: 0 }, new Map());
    see(from(2, 4, 1));
    const other = { ...log[7]!, offset: 1, leaderEpoch: 1 };
    expect(see([other, ...from(2, 4, 1)])).toMatchObject({ kind: 'stop' });
  });
});

describe('a partition', () => {
  it('clears all heads at begin and forget', () => {
    const { state } = begun(0);
    const heads = new Map([['album-1', { version: 1, id: 'a', closed: false }]]);
    state.moved({ ...state.checkpoint!, next: 1 }, heads);
    expect(state.heads.has('album-1')).toBe(true);
    state.forget();
    expect([state.heads.size, state.checkpoint]).toEqual([0, undefined]);
    state.begin({ ...where, next: 0, fence: 0, fingerprint: '', leaderEpoch: 0, stopped: null });
    state.moved({ ...state.checkpoint!, next: 1 }, heads);
    state.begin({ ...where, next: 0, fence: 0, fingerprint: '', leaderEpoch: 0, stopped: null });
    expect(state.heads.size).toBe(0);
  });

  it('suspects a corrupt record only the first time', () => {
    const { state } = begun(0);
    expect([state.suspects(3), state.suspects(3)]).toEqual([true, false]);
    expect([state.suspects(4), state.suspects(3)]).toEqual([true, true]);
  });

  it('ends before its checkpoint only when it did so twice in a row', () => {
    const { state } = begun(5);
    expect([state.endsBefore(4), state.endsBefore(4)]).toEqual([false, true]);
    expect([state.endsBefore(5), state.endsBefore(4), state.endsBefore(6), state.endsBefore(4)]).toEqual([
      false,
      false,
      false,
      false,
    ]);
  });

  it('may be ahead of an end that was requested before it moved', () => {
    const { state } = begun(5);
    for (let next = 6; next < 16; next += 2) {
      state.moved({ ...state.checkpoint!, next: next + 2 }, new Map());
      expect(state.endsBefore(next)).toBe(false);
    }
  });
});
