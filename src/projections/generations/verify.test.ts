import { describe, expect, it } from '@jest/globals';
import { encodeEvent } from '../../events/codec.ts';
import { toRecord } from '../../events/envelope.ts';
import type { AnyEvent } from '../../events/events.ts';
import { newId } from '../../events/ids.ts';
import type { LogOwner } from '../../events/genesis.ts';
import { createPlacement } from '../../events/placement.ts';
import { type LogRecord, partitionKey, type StoredRecord } from '../../events/record.ts';
import type { EventLog } from '../../log/event-log.ts';
import { genesisRecord } from '../../log/genesis.ts';
import { verifyLog } from './verify.ts';

const placement = createPlacement('music', 1);
const where = { topic: 'music.catalog', partition: 0 };
const album: AnyEvent = { type: 'AlbumCreated', albumId: 'album-1', name: 'a', year: 2000 };
const ids = Array.from({ length: 4 }, newId);

interface Claim {
  stream?: string;
  version?: number;
  prev?: string;
  id?: string;
  value?: Buffer;
}

function claim({
  stream = 'album-1',
  version = 1,
  prev = '',
  id = newId(),
  value = encodeEvent(album),
}: Claim): LogRecord {
  const envelope = { type: 'openmusic.AlbumCreated', time: new Date(0).toISOString(), actor: 'system', bodyHash: '' };
  const more = { commandId: newId(), correlationId: 'c', causationId: 'c' };
  return toRecord({ ...envelope, ...more, id, stream, version, prev }, value);
}

const chain = [
  claim({ id: ids[0] }),
  claim({ version: 2, prev: ids[0], id: ids[1] }),
  claim({ stream: 'song-1', id: ids[2] }),
  claim({ version: 3, prev: ids[1], id: ids[3] }),
];

interface Shape {
  end?: number;
  lost?: number;
  owner?: LogOwner;
}

/** A log in which one partition holds more than its genesis record. */
function logOf(records: LogRecord[], { end, lost, owner }: Shape = {}): EventLog {
  const partitions = new Map<string, StoredRecord[]>(
    placement.all.map((each) => {
      const all = [genesisRecord(placement, each, ids[0]!, owner), ...(each.topic === where.topic ? records : [])];
      return [partitionKey(each), all.map((record, offset) => ({ ...record, ...each, offset, leaderEpoch: 0 }))];
    }),
  );
  const of = (key: string) =>
    (partitions.get(key) ?? []).filter(({ topic, offset }) => topic !== where.topic || offset !== lost);
  const log: Pick<EventLog, 'begins' | 'ends' | 'read'> = {
    begins: (asked) =>
      Promise.resolve(asked.map((each) => ({ ...each, offset: of(partitionKey(each))[0]?.offset ?? 0 }))),
    ends: (asked) =>
      Promise.resolve(
        asked.map((each) => ({
          ...each,
          offset: (each.topic === where.topic ? end : undefined) ?? partitions.get(partitionKey(each))!.length,
        })),
      ),
    read: (from) =>
      Promise.resolve(
        of(partitionKey(from))
          .filter(({ offset }) => offset >= from.offset)
          .slice(0, 2),
      ),
  };
  return log as EventLog;
}

const verify = (log: EventLog, voids: number[] = []) =>
  verifyLog({ log, placement, voids: voids.map((offset) => ({ ...where, offset })) });

describe('verify', () => {
  it('finds no fault in a log that only OpenMusic wrote', async () => {
    const { partitions, faults } = await verify(logOf(chain));
    expect(faults).toEqual([]);
    expect(partitions).toHaveLength(4);
    expect(partitions[0]).toEqual({ ...where, end: 5, owner: null, streams: 3, winners: 5, losers: {}, faults: [] });
  });

  it('counts losers by reason', async () => {
    const race = claim({ version: 2, prev: ids[0] });
    const misplaced = claim({ stream: 'playlist-1' });
    const foreign = { key: 'a', value: Buffer.from('b'), headers: {} };
    const { partitions, faults } = await verify(logOf([chain[0]!, chain[1]!, race, race, misplaced, foreign]));
    expect(faults).toEqual([]);
    expect(partitions[0]).toMatchObject({ winners: 3, streams: 2 });
    expect(partitions[0]!.losers).toEqual({
      'lost the race': 2,
      'its stream lives in another partition': 1,
      'header ce_checksum is missing': 1,
    });
  });

  it('treats void positions as losers', async () => {
    const { partitions } = await verify(logOf(chain), [2]);
    expect(partitions[0]!.losers).toEqual({ 'declared void': 1, 'lost the race': 1 });
  });

  it.each<[string, EventLog, string]>([
    ['a gap', logOf(chain, { lost: 2 }), 'music.catalog/0@2: offset 2 is missing'],
    ['a missing beginning', logOf(chain, { lost: 0 }), 'music.catalog/0@0: the genesis record is missing'],
    [
      'a missing end',
      logOf(chain, { end: 9 }),
      'music.catalog/0@5: nothing can be read up to the end of the partition, 9',
    ],
    ['an empty partition', logOf([], { lost: 0, end: 0 }), 'the partition has no genesis record'],
    ['a changed key', logOf([{ ...chain[0]!, key: 'album-2' }]), 'music.catalog/0@1: key and headers sum up to'],
    ['a changed value', logOf([{ ...chain[0]!, value: Buffer.from('x') }]), '@1: the checksum of the value is wrong'],
    [
      'a winner that no schema decodes',
      logOf([claim({ value: Buffer.from('x') })]),
      '@1: cannot be decoded: the value is not in',
    ],
  ])('finds %s', async (_, log, fault) => {
    const { faults } = await verify(log);
    expect(faults).toContainEqual(expect.stringContaining(fault));
  });

  it('reports no mixed owners for a partition without a genesis record', async () => {
    const owner = { systemIdentifier: '1', databaseOid: '2' };
    const { faults } = await verify(logOf([], { lost: 0, end: 0, owner }));
    expect(faults).toEqual(['music.catalog/0@0: the partition has no genesis record']);
  });

  it('verifies only the given topics', async () => {
    const { partitions } = await verifyLog({ log: logOf(chain), placement, topics: [where.topic], voids: [] });
    expect(partitions.map(({ topic }) => topic)).toEqual([where.topic]);
  });

  it('reports its progress', async () => {
    const seen: number[] = [];
    const progress = (at: { topic: string; offset: number }) => {
      if (at.topic === where.topic) seen.push(at.offset);
    };
    await verifyLog({ log: logOf(chain), placement, voids: [], progress });
    expect(seen).toEqual([2, 4, 5]);
  });
});
