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
  it('have one id each, and each id belongs to one version', () => {
    expect(new Set(schemaVersions.map(({ id }) => id)).size).toBe(schemaVersions.length);
    expect(new Set(schemaVersions.map(fileOf)).size).toBe(schemaVersions.length);
  });

  it('are exactly the files of the folder', () => {
    const files = readdirSync(folder).filter((name) => name.endsWith('.avsc'));
    expect(files.toSorted()).toEqual(schemaVersions.map(fileOf).toSorted());
  });

  it('are numbered per subject from 1 without a gap', () => {
    for (const [subject, versions] of Map.groupBy(schemaVersions, ({ subject }) => subject)) {
      const numbers = versions.map(({ version }) => version).toSorted((a, b) => a - b);
      expect({ subject, numbers }).toEqual({ subject, numbers: versions.map((_, index) => index + 1) });
    }
  });

  it('have golden bytes for every version, including all earlier ones', () => {
    const lines = golden.schemas.map(({ id, subject, version }) => ({ id, subject, version }));
    expect(lines).toEqual(schemaVersions);
  });
});

describe.each(golden.schemas)('$subject version $version', ({ id, subject, version, schema, payload, value }) => {
  it('has the schema with which it was merged', () => {
    expect(schemaOf(fileOf({ subject, version })).fingerprint('sha256').toString('hex')).toBe(schema);
  });

  it('encodes to its golden bytes', () => {
    expect(encodeVersion(subject, version, payload).toString('hex')).toBe(value);
    expect(Buffer.from(value, 'hex').readUInt32BE(1)).toBe(id);
  });

  it('decodes from its golden bytes', () => {
    const event = decodeEvent(subject, Buffer.from(value, 'hex'));
    expect(event.type).toBe(typeOf(subject));
    if (isNewest(subject, version)) expect(event).toEqual({ type: typeOf(subject), ...payload });
  });
});

interface Documented {
  readonly name: string;
  readonly doc?: string;
  readonly type?: unknown;
  readonly fields?: readonly Documented[];
  readonly items?: unknown;
}

/** Records and fields of a schema, nested ones included, by their paths. */
function partsOf(schema: unknown, path = ''): [string, Documented][] {
  if (Array.isArray(schema)) return schema.flatMap((branch) => partsOf(branch, path));
  if (typeof schema !== 'object' || schema === null) return [];
  const { items, fields, ...record } = schema as Documented;
  if (items !== undefined) return partsOf(items, path);
  if (!fields) return [];
  const inside = fields.flatMap((field): [string, Documented][] => {
    const at = `${path}.${field.name}`;
    return [[at, field], ...partsOf(field.type, at)];
  });
  return [[`${path} ${record.name}`, record], ...inside];
}

const page = readFileSync(new URL('../../docs/reference/log-format.md', import.meta.url), 'utf8');
const read = (file: string) => JSON.parse(readFileSync(new URL(file, folder), 'utf8')) as Documented;

/** Ids that the payload must have, so that a reader needs no header to know what the event is about. */
const IDS: readonly [RegExp, readonly string[]][] = [
  [/^Album(Liked|Unliked)$/, ['albumId', 'accountId']],
  [/^Song(Liked|Unliked)$/, ['songId', 'accountId']],
  [/Playlist|^Collaborator/, ['playlistId']],
  [/^Album/, ['albumId']],
  [/^Song/, ['songId']],
  [/^Job|^DeadLetter/, ['jobId']],
  [/^(PartitionOpened|OwnerChanged|PositionVoided)$/, ['topic', 'partition']],
];

describe.each(schemaVersions.map(fileOf))('%s', (file) => {
  it('describes its record and each of its fields', () => {
    const silent = partsOf(read(file)).filter(([, { doc = '' }]) => doc.trim() === '' || doc.startsWith('TODO'));
    expect(silent.map(([path]) => path)).toEqual([]);
  });

  it('has the ids of the things that the event is about', () => {
    const [, ids = []] = IDS.find(([type]) => type.test(file.replace(/\.v\d+\.avsc$/, ''))) ?? [];
    const names = read(file).fields?.map(({ name }) => name) ?? [];
    expect(ids.length).toBeGreaterThan(0);
    expect(names).toEqual(expect.arrayContaining([...ids]));
  });

  it('is explained in docs/reference/log-format.md, with each of its fields', () => {
    const { name } = read(file);
    expect(page).toContain(`| \`${name}\``);
    const paths = partsOf(read(file)).flatMap(([path]) => /\.([\w.]+)$/.exec(path)?.[1] ?? []);
    const last = paths.map((path) => path.split('.').at(-1) ?? path);
    expect(last.filter((field) => !new RegExp(`\`(\\S+\\.)?${field}\``).test(page))).toEqual([]);
  });

  it('never encodes to 5 bytes, which Confluent’s deserialisers refuse', () => {
    const type = schemaOf(file);
    for (let round = 0; round < 100; round++) expect(type.toBuffer(type.random()).length).toBeGreaterThan(0);
    const values = golden.schemas.map(({ value }) => Buffer.from(value, 'hex').length);
    expect(Math.min(...values)).toBeGreaterThan(5);
  });
});

const isNewest = (of: string, version: number) =>
  schemaVersions.every((each) => each.subject !== of || each.version <= version);

describe('an event', () => {
  const event: AnyEvent = { type: 'AlbumCreated', albumId: 'album-1', name: 'Viva la Vida', year: 2008 };
  const value = encodeEvent(event);

  it('decodes to what was encoded', () => {
    expect(decodeEvent('openmusic.AlbumCreated', value)).toEqual(event);
  });

  it('keeps its times to the millisecond', () => {
    const repeat = { cron: '* * * * *', timeZone: 'UTC', missed: 'skip', count: 3 };
    for (const [first, until] of [
      ['1969-12-31T23:59:59.999Z', null],
      ['9999-12-31T23:59:59.999Z', '2030-01-01T00:00:00.001Z'],
    ] as const) {
      // prettier-ignore
      const changed: AnyEvent = { type: 'JobRepeatChanged', jobId: 'job-1', repeat: { ...repeat, first, until } };
      expect(decodeEvent('openmusic.JobRepeatChanged', encodeEvent(changed))).toEqual(changed);
    }
  });

  it('is not encoded with an invalid time', () => {
    const void_ = {
      type: 'PositionVoided',
      incarnation: 'i',
      topic: 't',
      partition: 0,
      offset: 0,
      lastOffset: 0,
      reason: 'r',
      at: 'yesterday',
    } as const;
    expect(() => encodeEvent(void_)).toThrow();
  });

  it('is not encoded without a schema', () => {
    expect(() => encodeEvent({ type: 'AlbumPraised' } as unknown as AnyEvent)).toThrow('no schema for AlbumPraised');
    expect(() => encodeVersion('openmusic.AlbumCreated', 99, {})).toThrow('no openmusic.AlbumCreated version 99');
  });

  it.each([
    ['another magic byte', Buffer.concat([Buffer.from([1]), value.subarray(1)]), 'not in the Confluent frame'],
    ['too few bytes for a frame', value.subarray(0, 4), 'not in the Confluent frame'],
    ['an unknown schema id', Buffer.from([0, 255, 255, 255, 255]), 'schema id 4294967295 is unknown'],
    ['bytes missing', value.subarray(0, -3), ''],
    ['bytes too many', Buffer.concat([value, Buffer.from([0])]), ''],
  ])('is not decoded with %s', (_, bytes, reason) => {
    expect(() => decodeEvent('openmusic.AlbumCreated', bytes)).toThrow(reason);
  });

  it('is not decoded when ce_type names another type', () => {
    const read = () => decodeEvent('openmusic.AlbumDeleted', value);
    expect(read).toThrow('the value is openmusic.AlbumCreated, ce_type says openmusic.AlbumDeleted');
  });
});

describe('the largest event', () => {
  const MAX_BYTES = 512_000;
  /** Bytes for its headers and its frame in a batch. */
  const OVERHEAD = 2_000;
  const entryOf = (index: number) => ({
    entryId: `entry-${String(index).padStart(32, '0')}`,
    songId: `song-${String(index).padStart(32, '0')}`,
  });

  it('adds 100 songs with titles of 1,000 characters of four bytes', () => {
    const entries = Array.from({ length: 100 }, (_, index) => ({
      ...entryOf(index),
      title: '🎸'.repeat(1_000),
      orderKey: 'a'.repeat(255),
    }));
    const value = encodeEvent({ type: 'SongsAddedToPlaylist', playlistId: 'playlist-1', entries, rekeyed: [] });
    expect(value.length + OVERHEAD).toBeLessThan(MAX_BYTES);
  });

  it('restores a playlist of 10,000 entries', () => {
    const entries = Array.from({ length: 10_000 }, (_, index) => ({ ...entryOf(index), orderKey: 'c000' }));
    const value = encodeEvent({
      type: 'PlaylistRestored',
      playlistId: 'playlist-1',
      restoredVersion: 2 ** 31 - 1,
      entries,
      name: '🎸'.repeat(1_000),
      description: '🎸'.repeat(4_000),
    });
    expect(value.length + OVERHEAD).toBeLessThan(MAX_BYTES);
  });
});
