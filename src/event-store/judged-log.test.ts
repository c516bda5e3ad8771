import { describe, expect, it } from '@jest/globals';
import { toRecord } from '../events/envelope.ts';
import { newId } from '../events/ids.ts';
import { createPlacement } from '../events/placement.ts';
import type { LogRecord, Position, StoredRecord } from '../events/record.ts';
import type { Head } from './arbitrate.ts';
import { type HeadsBefore, JudgedPartition, type JudgedLogOptions } from './judged-log.ts';

const placement = createPlacement('music', 1);
const where = { topic: 'music.catalog', partition: 0 };
const rules = { belongs: placement.belongs, isVoid: () => false };
const ids = Array.from({ length: 4 }, newId);

function claim(stream: string, version: number, id: string, prev = ''): LogRecord {
  const about = {
    time: new Date(0).toISOString(),
    actor: 'system',
    bodyHash: '',
    correlationId: 'c',
    causationId: 'c',
  };
  return toRecord(
    { ...about, id, type: 'openmusic.AlbumCreated', stream, version, prev, commandId: newId() },
    Buffer.alloc(1),
  );
}

/** The second version of album-1 is claimed twice, with another album in between. */
const records = [
  claim('album-1', 1, ids[0]!),
  claim('album-1', 2, ids[1]!, ids[0]),
  claim('album-2', 1, ids[2]!),
  claim('album-1', 2, ids[3]!, ids[0]),
  claim('album-1', 3, newId(), ids[1]),
].map((record, offset): StoredRecord => ({ ...record, ...where, offset, leaderEpoch: 0 }));
const VERDICTS = ['accepted', 'accepted', 'accepted', 'lost the race', 'accepted'];

/** Two records at each read. */
const logOf = (all: readonly StoredRecord[]): JudgedLogOptions['log'] => ({
  begins: (partitions) => Promise.resolve(partitions.map((each) => ({ ...each, offset: 0 }))),
  read: (from) => Promise.resolve(all.filter(({ offset }) => offset >= from.offset).slice(0, 2)),
});

/** Knows the heads of the records above before any offset up to its reach. */
function indexUpTo(reach: number): HeadsBefore & { readonly asked: Position[] } {
  const asked: Position[] = [];
  const heads = (before: Position, streams: readonly string[]) => {
    asked.push(before);
    const found = new Map<string, Head>();
    if (before.offset > 0) found.set('album-1', { version: 1, id: ids[0]! });
    if (before.offset > 1) found.set('album-1', { version: 2, id: ids[1]! });
    if (before.offset > 2) found.set('album-2', { version: 1, id: ids[2]! });
    return Promise.resolve(new Map([...found].filter(([stream]) => streams.includes(stream))));
  };
  return { asked, heads, reach: () => Promise.resolve(reach) };
}

async function verdicts(options: Partial<JudgedLogOptions>, from = 0, until = records.length): Promise<string[]> {
  const partition = new JudgedPartition({ log: logOf(records), rules, ...options }, { ...where, offset: from });
  const found: string[] = [];
  for await (const judged of partition.until(until)) found.push(...judged.map(({ lost }) => lost ?? 'accepted'));
  return found;
}

describe('a judged partition', () => {
  it('has a verdict for every entry, by the heads that it has met', async () => {
    expect(await verdicts({})).toEqual(VERDICTS);
  });

  it('leaves out what is before and behind the range, and judges the rest as if it had all', async () => {
    expect(await verdicts({}, 3, 4)).toEqual(['lost the race']);
  });

  it('begins in the middle with the heads of an index', async () => {
    const index = indexUpTo(5);
    const read: number[] = [];
    const log = { ...logOf(records), read: (from: Position) => (read.push(from.offset), logOf(records).read(from)) };
    expect(await verdicts({ log, index }, 3)).toEqual(VERDICTS.slice(3));
    expect([read, index.asked]).toEqual([[3], [{ ...where, offset: 3 }]]);
  });

  it('begins where an index ends that has not come so far', async () => {
    expect(await verdicts({ index: indexUpTo(1) }, 3)).toEqual(VERDICTS.slice(3));
  });

  it('forgets heads that an index can tell again, and keeps those that it cannot', async () => {
    const [near, far] = [indexUpTo(1), indexUpTo(5)];
    expect(await verdicts({ index: far, headsRemembered: 1 })).toEqual(VERDICTS);
    expect(far.asked).toEqual([{ ...where, offset: 4 }]);
    expect(await verdicts({ index: near, headsRemembered: 1 })).toEqual(VERDICTS);
    expect(near.asked).toEqual([]);
  });

  it('goes on where the last call ended', async () => {
    const partition = new JudgedPartition({ log: logOf(records), rules }, { ...where, offset: 0 });
    const counts: number[] = [];
    for (const until of [3, 3, 5]) {
      let count = 0;
      for await (const judged of partition.until(until)) count += judged.length;
      counts.push(count);
    }
    expect(counts).toEqual([3, 0, 2]);
  });

  it.each([
    ['a hole', records.filter(({ offset }) => offset !== 2), 'music.catalog/0@2 cannot be judged'],
    ['an end that is too early', records.slice(0, 3), 'music.catalog/0@3 cannot be judged'],
    [
      'changed headers',
      records.map((each, at) => (at === 2 ? { ...each, headers: { ...each.headers, ce_actor: 'x' } } : each)),
      'music.catalog/0@2 cannot be judged',
    ],
  ])('stops at %s', async (_, all, message) => {
    await expect(verdicts({ log: logOf(all) })).rejects.toThrow(message);
  });
});
