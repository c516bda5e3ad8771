import { describe, expect, it } from '@jest/globals';
import type { StoredRecord } from '../../events/record.ts';
import type { Slice } from '../event-log.ts';
import { Tail } from './tail.ts';

const limits = { records: 1_000, bytes: 1_000_000 };
const at = (offset: number, partition = 0) => ({ topic: 't', partition, offset });
const record = (offset: number, partition = 0, value = Buffer.alloc(10)): StoredRecord => ({
  ...at(offset, partition),
  key: 'k',
  value,
  headers: {},
  leaderEpoch: 0,
});
const run = (from: number, to: number, partition = 0) =>
  Array.from({ length: to - from }, (_, n) => record(from + n, partition));
const offsets = (slices: Slice[] | undefined) => slices?.map(({ records }) => records.map(({ offset }) => offset));

describe('the tail', () => {
  it('returns the next records of every partition that has more', () => {
    const tail = new Tail();
    tail.add([...run(5, 8), ...run(0, 2, 1), ...run(0, 1, 2)]);
    expect(offsets(tail.slices([at(6), at(0, 1), at(1, 2), at(9, 3)], limits))).toEqual([[6, 7], [0, 1]]); // prettier-ignore
  });

  it('returns nothing at the ends', () => {
    const tail = new Tail();
    tail.add(run(0, 2));
    expect(tail.slices([at(2)], limits)).toEqual([]);
  });

  it('returns undefined when the next record of one partition is missing', () => {
    const tail = new Tail();
    tail.add([...run(5, 8), ...run(0, 2, 1)]);
    expect(tail.slices([at(4), at(0, 1)], limits)).toBeUndefined();
    tail.reaches(at(3, 2));
    expect(tail.slices([at(5), at(2, 2)], limits)).toBeUndefined();
  });

  it('stops before a batch that was not added yet', () => {
    const tail = new Tail();
    tail.add(run(0, 2));
    tail.add(run(4, 6));
    expect(offsets(tail.slices([at(0)], limits))).toEqual([[0, 1]]);
    expect(tail.slices([at(2)], limits)).toBeUndefined();
    tail.add(run(2, 4));
    expect(offsets(tail.slices([at(2)], limits))).toEqual([[2, 3, 4, 5]]);
  });

  it('respects the limits, but returns at least one record', () => {
    const tail = new Tail();
    tail.add(run(0, 10));
    expect(offsets(tail.slices([at(0)], { records: 3, bytes: 1_000 }))).toEqual([[0, 1, 2]]);
    expect(offsets(tail.slices([at(0)], { records: 10, bytes: 12 }))).toEqual([[0, 1]]);
    expect(offsets(tail.slices([at(0)], { records: 10, bytes: 1 }))).toEqual([[0]]);
  });

  it('evicts the oldest records beyond 2,000 records or 4 MB', () => {
    const tail = new Tail();
    tail.add(run(0, 2_500));
    expect(tail.slices([at(499)], limits)).toBeUndefined();
    expect(tail.slices([at(500)], { records: 3_000, bytes: 1_000_000 })?.[0]?.records).toHaveLength(2_000);
    for (let offset = 2_500; offset < 2_510; offset++) tail.add([record(offset, 0, Buffer.alloc(1_000_000))]);
    expect(tail.slices([at(2_505)], limits)).toBeUndefined();
    expect(offsets(tail.slices([at(2_506)], { records: 9, bytes: 9_000_000 }))).toEqual([[2_506, 2_507, 2_508, 2_509]]);
  });
});
