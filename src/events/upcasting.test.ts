import { readFileSync, type PathOrFileDescriptor } from 'node:fs';
import { expect, it, jest } from '@jest/globals';
import type { SchemaVersion } from './codec.ts';

/** Schemas of a world in which an album got a label, and then its year became a date. */
const file = (...fields: { name: string; type: string }[]) =>
  JSON.stringify({ type: 'record', name: 'AlbumCreated', namespace: 'openmusic', fields });
const albumId = { name: 'albumId', type: 'string' };
const name = { name: 'name', type: 'string' };
const label = { name: 'label', type: 'string' };
const subject = 'openmusic.AlbumCreated';
const added: Record<string, string> = {
  'AlbumCreated.v2.avsc': file(albumId, name, { name: 'year', type: 'int' }, label),
  'AlbumCreated.v3.avsc': file(albumId, name, { name: 'date', type: 'string' }, label),
};

function readWithMore(path: PathOrFileDescriptor, encoding: 'utf8'): string {
  const last = String(path).split('/').at(-1) ?? '';
  if (last !== 'lock.json') return added[last] ?? readFileSync(path, encoding);
  const lock = JSON.parse(readFileSync(path, encoding)) as SchemaVersion[];
  return JSON.stringify([{ id: 903, subject, version: 3 }, ...lock, { id: 902, subject, version: 2 }]);
}

const withLabel = (payload: object) => ({ ...payload, label: 'none' });
const withDate = ({ year, ...payload }: { year?: number }) => ({ ...payload, date: `${year}-01-01` });
const upcasters: Record<string, Record<number, (payload: object) => object>> = {
  [subject]: { 1: withLabel, 2: withDate },
};

jest.unstable_mockModule('node:fs', () => ({ readFileSync: readWithMore }));
jest.unstable_mockModule('./upcasters.ts', () => ({ upcasters }));
const { decodeEvent, encodeEvent, encodeVersion } = await import('./codec.ts');

const newest = { type: 'AlbumCreated', albumId: 'album-1', name: 'Black Album', date: '1991-01-01', label: 'none' };

it('an old payload goes through every later version', () => {
  expect(
    decodeEvent(subject, encodeVersion(subject, 1, { albumId: 'album-1', name: 'Black Album', year: 1991 })),
  ).toEqual(newest);
});

it('a payload in between skips what it has behind it', () => {
  const value = encodeVersion(subject, 2, { albumId: 'album-1', name: 'Black Album', year: 1991, label: 'none' });
  expect(decodeEvent(subject, value)).toEqual(newest);
});

it('the newest is written, whatever the order of the lock file, and read as it is', () => {
  const value = encodeEvent(newest as unknown as Parameters<typeof encodeEvent>[0]);
  expect(value.readUInt32BE(1)).toBe(903);
  expect(decodeEvent(subject, value)).toEqual(newest);
});

it('a step that nobody wrote is an error', () => {
  delete upcasters[subject]![2];
  const value = encodeVersion(subject, 1, { albumId: 'album-1', name: 'Black Album', year: 1991 });
  expect(() => decodeEvent(subject, value)).toThrow('there is no upcaster for openmusic.AlbumCreated version 2');
});
