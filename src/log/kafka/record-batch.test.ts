import { describe, expect, it } from '@jest/globals';
import { batchBytes, plainRecords } from '../../../test/support/stranger-batch.ts';
import { batchesIn, entriesOf, headersOf, type RawEntry } from './record-batch.ts';

const record = (key: string) => ({ key, value: Buffer.from(`value of ${key}`), headers: { a: 'b', empty: '' } });
const whole = (...keys: string[]) => batchBytes({ count: keys.length, packed: plainRecords(keys.map(record)) }, 10);

async function read(bytes: Buffer): Promise<RawEntry[]> {
  return (await Promise.all(batchesIn(bytes).map(entriesOf))).flat();
}
const shown = (entries: readonly RawEntry[]) =>
  entries.map((entry) =>
    'blank' in entry ? [entry.blank, entry.offset, entry.last] : [entry.key?.toString(), entry.offset],
  );

/** The same bytes with some of them changed. */
function changed(bytes: Buffer, change: (copy: Buffer) => void): Buffer {
  const copy = Buffer.from(bytes);
  change(copy);
  return copy;
}

describe('the batches of a fetch', () => {
  it('are read with keys, values and headers', async () => {
    const [first, second] = await read(whole('x', 'y'));
    expect(shown([first!, second!])).toEqual([['x', 10], ['y', 11]]); // prettier-ignore
    if (!first || 'blank' in first) throw new Error('no record');
    expect(first.value?.toString()).toBe('value of x');
    expect(headersOf(first)).toEqual([['a', 'b'], ['empty', '']]); // prettier-ignore
  });

  it('are read up to the last complete one', async () => {
    const both = Buffer.concat([whole('x'), whole('y')]);
    expect(shown(await read(both.subarray(0, both.length - 1)))).toEqual([['x', 10]]);
  });

  it.each([
    ['attributes, which would make a marker of it', 22],
    ['value', -1],
    ['crc', 18],
  ])('are unreadable as a whole when a bit of the %s is wrong', async (_, at) => {
    const bytes = changed(whole('x', 'y'), (copy) => {
      const index = at < 0 ? copy.length + at : at;
      copy.writeUInt8(copy.readUInt8(index) ^ 0x20, index);
    });
    expect(shown(await read(bytes))).toEqual([['unreadable', 10, 11]]);
  });

  it('are unreadable at their first offset when the number of their offsets is uncertain', async () => {
    const bytes = changed(whole('x', 'y'), (copy) => copy.writeInt32BE(2 ** 30, 23));
    expect(shown(await read(bytes))).toEqual([['unreadable', 10, 10]]);
  });

  it('are unreadable in the format of Kafka before 0.11', async () => {
    expect(shown(await read(changed(whole('x'), (copy) => copy.writeInt8(1, 16))))).toEqual([['unreadable', 10, 10]]);
  });

  it('are not looked for after one whose length is wrong', async () => {
    const bytes = Buffer.concat([changed(whole('x', 'y'), (copy) => copy.writeInt32BE(1, 8)), whole('z')]);
    expect(shown(await read(bytes))).toEqual([['unreadable', 10, 11]]);
  });

  it('are control blanks when they are markers of transactions', async () => {
    expect(shown(await read(batchBytes({ codec: 0x30, count: 1, packed: plainRecords([record('x')]) }, 10)))).toEqual([
      ['control', 10, 10],
    ]);
  });

  it.each([
    ['more records than it says', 1, ['x', 'y']],
    ['fewer records than it says', 3, ['x', 'y']],
  ])('are unreadable with %s', async (_, count, keys) => {
    const bytes = batchBytes({ count, packed: plainRecords(keys.map(record)) }, 10);
    expect(shown(await read(bytes))).toEqual([['unreadable', 10, 9 + count]]);
  });

  it('have blanks where compaction has removed records from their end', async () => {
    const compacted = batchBytes({ count: 1, lastOffsetDelta: 4, packed: plainRecords([record('x')]) }, 10);
    expect(shown(await read(compacted))).toEqual([['x', 10], ['missing', 11, 14]]); // prettier-ignore
  });
});
