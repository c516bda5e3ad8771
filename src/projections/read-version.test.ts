import { describe, expect, it } from '@jest/globals';
import { currentLock, lockOf, nextStep, readLock } from '../../test/projections/read-version.ts';
import type { AlbumEvent } from '../events/catalog.ts';
import { column, ignored, nullable, table } from './engine/table.ts';
import { READ_VERSION } from './projections.ts';

const columns = { id: column.key, name: column.text };
const nothing = { AlbumChanged: ignored, AlbumCoverChanged: ignored, AlbumDeleted: ignored };
const things = table('things', columns);
const projection = things.projection<AlbumEvent>({
  ...nothing,
  AlbumCreated: ({ name }, rows, { stream }) => rows.put({ id: stream, name }),
});
const lock = lockOf(6, [projection]);
const raise = expect.stringContaining('Set READ_VERSION in src/projections/projections.ts to 8');

describe('the lock of the read version', () => {
  it('agrees with the tables and the rows of this code', () => {
    expect(nextStep(readLock(), currentLock())).toBeUndefined();
    expect(readLock()?.readVersion).toBe(READ_VERSION);
  });

  it('accepts the same table and rows, with other spaces and comments in the DDL', () => {
    const ddl = `-- Things.\n${projection.ddl.replaceAll(' ', '  ')}`;
    expect(nextStep(lock, lockOf(6, [{ ...projection, ddl }]))).toBeUndefined();
  });

  it('demands a new read version when a column changes', () => {
    const changed = table('things', { ...columns, name: nullable(column.text) }).projection<AlbumEvent>({
      ...nothing,
      AlbumCreated: ({ name }, rows, { stream }) => rows.put({ id: stream, name }),
    });
    expect(nextStep(lock, lockOf(6, [changed]))).toEqual(raise);
  });

  it('demands a new read version when a projection makes other rows', () => {
    const changed = things.projection<AlbumEvent>({
      ...nothing,
      AlbumCreated: ({ name }, rows, { stream }) => rows.put({ id: stream, name: `${name}!` }),
    });
    expect(nextStep(lock, lockOf(6, [changed]))).toEqual(raise);
  });

  it('demands a new read version when a table comes or goes', () => {
    expect(nextStep(lock, lockOf(6, []))).toEqual(raise);
    expect(nextStep(lockOf(6, []), lock)).toEqual(raise);
  });

  it('asks for a new lock after the read version was raised', () => {
    expect(nextStep(lock, { ...lock, readVersion: 7 })).toBe('Run `npm run read-version` and commit the lock.');
  });
});
