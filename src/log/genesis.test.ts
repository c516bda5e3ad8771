import { describe, expect, it } from '@jest/globals';
import { encodeEvent } from '../events/codec.ts';
import { type Envelope, readEnvelope, toRecord } from '../events/envelope.ts';
import type { PartitionOpened } from '../events/genesis.ts';
import { createPlacement } from '../events/placement.ts';
import type { LogRecord, StoredRecord } from '../events/record.ts';
import { genesisRecord, readGenesis } from './genesis.ts';

const placement = createPlacement('music', 6);
const where = { topic: 'music.catalog', partition: 2 };
const incarnation = '1b4e28ba-2fa1-41d2-883f-0016d3cca427';
const written = genesisRecord(placement, where, incarnation);
const opened: PartitionOpened = {
  type: 'PartitionOpened',
  topic: 'music.catalog',
  partition: 2,
  partitions: 6,
  incarnation,
  ruleVersion: 2,
  owner: null,
};

const at = (record: LogRecord, offset = 0): StoredRecord => ({ ...record, ...where, offset, leaderEpoch: 0 });

const album = encodeEvent({ type: 'AlbumCreated', albumId: 'album-1', name: 'a', year: 2000 });

function envelopeOf(record: LogRecord): Envelope {
  const reading = readEnvelope(record);
  if (reading.kind !== 'ours') throw new Error(reading.reason);
  return reading.envelope;
}

/** A valid record that differs in some headers or in its event. */
const made = (change: Partial<Envelope>, payload: Partial<PartitionOpened> = {}): StoredRecord =>
  at(toRecord({ ...envelopeOf(written), ...change }, encodeEvent({ ...opened, ...payload })));

describe('a partition that begins with its genesis record', () => {
  it('names the incarnation of the log', () => {
    expect(readGenesis(placement, at(written))).toEqual(opened);
  });

  it('names the database that owns the log', () => {
    const owner = { systemIdentifier: '7512345678901234567', databaseOid: '16384' };
    const owned = genesisRecord(placement, where, incarnation, owner);
    expect(readGenesis(placement, at(owned))).toEqual({ ...opened, owner });
  });
});

describe('a partition is refused that begins with', () => {
  it.each<[string, StoredRecord, string]>([
    ['a later offset', at(written, 3), 'begins at offset 3: its genesis record was deleted'],
    ['a record of another program', at({ ...written, headers: {} }), 'header ce_checksum is missing'],
    [
      'a touched header',
      at({ ...written, headers: { ...written.headers, ce_time: 'x' } }),
      'key and headers sum up to',
    ],
    ['a touched value', at({ ...written, value: Buffer.from('x') }), 'the value of its first record is corrupt'],
    ['another stream', made({ stream: 'album-1' }), 'its first record belongs to album-1'],
    ['another partition’s genesis', made({ stream: 'genesis-music.catalog-3' }), 'belongs to genesis-music.catalog-3'],
    ['another type', made({ type: 'openmusic.AlbumCreated' }), 'its first record is openmusic.AlbumCreated'],
    ['another version', made({ version: 2 }), 'its first record claims version 2'],
    ['a predecessor', made({ prev: incarnation }), 'its first record claims version 1'],
    [
      'a payload of another type',
      at(toRecord(envelopeOf(written), album)),
      'cannot be decoded: the value is openmusic.AlbumC',
    ],
    ['another topic in it', made({}, { topic: 'music.likes' }), 'says it belongs to music.likes/2'],
    ['another partition in it', made({}, { partition: 5 }), 'says it belongs to music.catalog/5'],
    ['another count in it', made({}, { partitions: 12 }), 'says the topic has 12 partitions, 6 are configured'],
    ['another rule in it', made({}, { ruleVersion: 1 }), 'judged by rule 1, this code knows rule 2'],
  ])('%s', (_, first, reason) => {
    expect(readGenesis(placement, first)).toContain(`music.catalog/2`);
    expect(readGenesis(placement, first)).toContain(reason);
  });
});
