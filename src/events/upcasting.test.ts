import { expect, it } from '@jest/globals';
import avro from 'avsc';
import { createRegistry, decodeEvent, encodeEvent, encodeVersion, releasedSchemas, type Schema } from './codec.ts';
import type { AnyEvent } from './events.ts';
import type { Upcaster } from './upcasters.ts';

/** Invented schemas: version 2 adds a label to albums, version 3 turns the year into a date. */
const subject = 'openmusic.AlbumCreated';
const schema = (id: number, version: number, ...fields: { name: string; type: string }[]): Schema => {
  const definition: avro.Schema = { type: 'record', name: 'AlbumCreated', namespace: 'openmusic', fields };
  return { id, subject, version, avro: avro.Type.forSchema(definition) };
};
const albumId = { name: 'albumId', type: 'string' };
const name = { name: 'name', type: 'string' };
const label = { name: 'label', type: 'string' };
const withYear = schema(902, 2, albumId, name, { name: 'year', type: 'int' }, label);
const dated = schema(903, 3, albumId, name, { name: 'date', type: 'string' }, label);

const addLabel: Upcaster = (payload) => ({ ...payload, label: 'none' });
const yearToDate: Upcaster = ({ year, ...payload }: { year?: number }) => ({ ...payload, date: `${year}-01-01` });
const registryWith = (steps: Record<number, Upcaster>) =>
  createRegistry([dated, ...releasedSchemas, withYear], { [subject]: steps });
const registry = registryWith({ 1: addLabel, 2: yearToDate });

const newest = { type: 'AlbumCreated', albumId: 'album-1', name: 'Black Album', date: '1991-01-01', label: 'none' };

it('upcasts an old payload through every later version', () => {
  expect(
    decodeEvent(subject, encodeVersion(subject, 1, { albumId: 'album-1', name: 'Black Album', year: 1991 }), registry),
  ).toEqual(newest);
});

it('upcasts a payload of a middle version only through the later ones', () => {
  const value = encodeVersion(
    subject,
    2,
    { albumId: 'album-1', name: 'Black Album', year: 1991, label: 'none' },
    registry,
  );
  expect(decodeEvent(subject, value, registry)).toEqual(newest);
});

it('writes the newest version in any order of the lock file, and reads it unchanged', () => {
  const value = encodeEvent(newest as unknown as AnyEvent, registry);
  expect(value.readUInt32BE(1)).toBe(903);
  expect(decodeEvent(subject, value, registry)).toEqual(newest);
});

it('throws when an upcaster is missing', () => {
  const value = encodeVersion(subject, 1, { albumId: 'album-1', name: 'Black Album', year: 1991 });
  expect(() => decodeEvent(subject, value, registryWith({ 1: addLabel }))).toThrow(
    'there is no upcaster for openmusic.AlbumCreated version 2',
  );
});
