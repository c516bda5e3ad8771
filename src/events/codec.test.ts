import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import avro from 'avsc';
import { golden } from '../../test/support/golden.ts';
import { decodeEvent, encodeEvent, encodeVersion, schemaVersions, typeOf } from './codec.ts';
import type { AnyEvent } from './events.ts';

const folder = new URL('../../schemas/', import.meta.url);
const schemaOf = (file: string) =>
  avro.Type.forSchema(JSON.parse(readFileSync(new URL(file, folder), 'utf8')) as avro.Schema);
const fileOf = ({ subject, version }: { subject: string; version: number }) => `${typeOf(subject)}.v${version}.avsc`;

describe('the schemas', () => {
  it('have an id each, and each id is of one version', () => {
    expect(new Set(schemaVersions.map(({ id }) => id)).size).toBe(schemaVersions.length);
    expect(new Set(schemaVersions.map(fileOf)).size).toBe(schemaVersions.length);
  });

  it('are the files of the folder, no more and no less', () => {
    const files = readdirSync(folder).filter((name) => name.endsWith('.avsc'));
    expect(files.toSorted()).toEqual(schemaVersions.map(fileOf).toSorted());
  });

  it('of one subject are numbered from 1 without a gap', () => {
    for (const [subject, versions] of Map.groupBy(schemaVersions, ({ subject }) => subject)) {
      const numbers = versions.map(({ version }) => version).toSorted((a, b) => a - b);
      expect({ subject, numbers }).toEqual({ subject, numbers: versions.map((_, index) => index + 1) });
    }
  });

  it('all have golden bytes, and those that have them are still there', () => {
    const lines = golden.schemas.map(({ id, subject, version }) => ({ id, subject, version }));
    expect(lines).toEqual(schemaVersions);
  });
});

describe.each(golden.schemas)('$subject version $version', ({ id, subject, version, schema, payload, value }) => {
  it('has the schema it was merged with', () => {
    expect(schemaOf(fileOf({ subject, version })).fingerprint('sha256').toString('hex')).toBe(schema);
  });

  it('is written in its golden bytes', () => {
    expect(encodeVersion(subject, version, payload).toString('hex')).toBe(value);
    expect(Buffer.from(value, 'hex').readUInt32BE(1)).toBe(id);
  });

  it('is read from its golden bytes', () => {
    const event = decodeEvent(subject, Buffer.from(value, 'hex'));
    expect(event.type).toBe(typeOf(subject));
    if (isNewest(subject, version)) expect(event).toEqual({ type: typeOf(subject), ...payload });
  });
});

const isNewest = (of: string, version: number) =>
  schemaVersions.every((each) => each.subject !== of || each.version <= version);

describe('an event', () => {
  const event: AnyEvent = { type: 'AlbumCreated', name: 'Viva la Vida', year: 2008 };
  const value = encodeEvent(event);

  it('comes back as it was written', () => {
    expect(decodeEvent('openmusic.AlbumCreated', value)).toEqual(event);
  });

  it('of no schema is not written', () => {
    expect(() => encodeEvent({ type: 'AlbumPraised' } as unknown as AnyEvent)).toThrow('no schema for AlbumPraised');
    expect(() => encodeVersion('openmusic.AlbumCreated', 99, {})).toThrow('no openmusic.AlbumCreated version 99');
  });

  it.each([
    ['another magic byte', Buffer.concat([Buffer.from([1]), value.subarray(1)]), 'not in the Confluent frame'],
    ['too few bytes for a frame', value.subarray(0, 4), 'not in the Confluent frame'],
    ['an unknown schema id', Buffer.from([0, 255, 255, 255, 255]), 'schema id 4294967295 is unknown'],
    ['bytes missing', value.subarray(0, -3), ''],
    ['bytes too many', Buffer.concat([value, Buffer.from([0])]), ''],
  ])('with %s is not read', (_, bytes, reason) => {
    expect(() => decodeEvent('openmusic.AlbumCreated', bytes)).toThrow(reason);
  });

  it('that is not what ce_type says is not read', () => {
    const read = () => decodeEvent('openmusic.AlbumDeleted', value);
    expect(read).toThrow('the value is openmusic.AlbumCreated, ce_type says openmusic.AlbumDeleted');
  });
});
