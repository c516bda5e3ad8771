import { describe, expect, it } from '@jest/globals';
import { parquetReadObjects } from 'hyparquet';
import { golden } from '../../test/support/golden.ts';
import type { Winner } from '../event-store/judged-log.ts';
import { readEnvelope, toRecord } from '../events/envelope.ts';
import { type FormatName, FORMATS } from './formats.ts';

const schemaOf = (type: string) => golden.schemas.find(({ subject }) => subject === `openmusic.${type}`)!;
const ALBUM = schemaOf('AlbumCreated');
const JOB = schemaOf('JobRequested');

function winner({ subject, value }: { subject: string; value: string }, offset: number): Winner {
  const record = toRecord({ ...golden.record.envelope, type: subject }, Buffer.from(value, 'hex'));
  const entry = { ...record, topic: 'openmusic.catalog', partition: 3, offset, leaderEpoch: 0 };
  const reading = readEnvelope(entry);
  if (reading.kind !== 'ours') throw new Error(reading.reason);
  return { entry, envelope: reading.envelope };
}

async function* batches(...all: Winner[][]) {
  for (const batch of all) yield await Promise.resolve(batch);
}

async function bytesOf(format: FormatName, types: string[], ...all: Winner[][]): Promise<Buffer> {
  const pieces: Uint8Array[] = [];
  for await (const piece of FORMATS[format](batches(...all), types)) pieces.push(Buffer.from(piece));
  return Buffer.concat(pieces);
}

const events = [winner(ALBUM, 7), winner(JOB, 8), winner({ subject: ALBUM.subject, value: '0000ffffff01' }, 2 ** 40)];
const types = [ALBUM.subject, JOB.subject];

describe('an export', () => {
  it.each(Object.keys(FORMATS) as FormatName[])('as %s is the same however the events come', async (format) => {
    const [first, ...rest] = events;
    const bytes = await bytesOf(format, types, events);
    expect((await bytesOf(format, types, [first!], [], rest)).equals(bytes)).toBe(true);
  });

  it('as NDJSON has a CloudEvent in each line, with the bytes of what cannot be decoded', async () => {
    const lines = (await bytesOf('ndjson', types, events)).toString().trimEnd().split('\n');
    const [album, job, broken] = lines.map((line) => JSON.parse(line) as object);
    expect(album).toMatchObject({ type: ALBUM.subject, sourceoffset: 7, data: ALBUM.payload });
    expect(job).toMatchObject({ type: JOB.subject, data: JOB.payload });
    expect(broken).toMatchObject({ quarantinereason: expect.stringContaining('unknown'), data_base64: 'AAD///8B' });
  });

  it('as CSV has a column for each field of the types, also of records in records', async () => {
    const [head = '', album = '', job = ''] = (await bytesOf('csv', types, events)).toString().split('\r\n');
    const names = head.split(',');
    expect(names.slice(0, 4)).toEqual(['sourcetopic', 'sourcepartition', 'sourceoffset', 'id']);
    expect(names).toEqual(expect.arrayContaining(['data.albumId', 'data.request.backoff.firstMs', 'quarantinereason']));
    const { name } = ALBUM.payload as { name: string };
    expect(album.split(',')[names.indexOf('data.name')]).toBe(name);
    expect(album.split(',')[names.indexOf('data.request.priority')]).toBe('');
    const { request } = JOB.payload as { request: { priority: number } };
    expect(job.split(',').includes(String(request.priority))).toBe(true);
  });

  it('as Parquet has a row for each event, with typed columns and the payload as JSON', async () => {
    const bytes = await bytesOf('parquet', types, events);
    const file = new Uint8Array(bytes).buffer;
    const rows = await parquetReadObjects({ file });
    expect(rows).toHaveLength(3);
    expect(rows[0]).toMatchObject({
      sourcepartition: 3,
      sourceoffset: 7n,
      streamversion: golden.record.envelope.version,
      time: new Date(golden.record.envelope.time),
      data: ALBUM.payload,
    });
    expect(rows[2]).toMatchObject({ sourceoffset: BigInt(2 ** 40), data: null, data_base64: 'AAD///8B' });
  });

  it('as Parquet has its columns also without any event', async () => {
    const bytes = await bytesOf('parquet', types);
    expect(await parquetReadObjects({ file: new Uint8Array(bytes).buffer })).toEqual([]);
  });
});
