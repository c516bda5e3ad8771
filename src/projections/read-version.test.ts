import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, it } from '@jest/globals';
import { currentLock, lockOf, nextStep, readLock } from '../../test/projections/read-version.ts';
import { sourceOf } from '../../test/projections/source.ts';
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
const raise = expect.stringContaining('Set READ_VERSION in src/projections/projections.ts to 7');

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

  it('demands a decision when code changes and the sample rows do not', () => {
    const [before, after] = [lockOf(6, [projection], { things: 'a' }), lockOf(6, [projection], { things: 'b' })];
    expect(nextStep(before, after)).toContain('The code that makes the rows of things changed.');
    expect(nextStep(before, after)).toContain('et READ_VERSION in src/projections/projections.ts to 7');
    expect(nextStep(before, after, true)).toBeUndefined();
    expect(nextStep(before, lockOf(6, [], { things: 'b' }), true)).toEqual(raise);
  });

  it('demands a new read version when a table comes or goes', () => {
    expect(nextStep(lock, lockOf(6, []))).toEqual(raise);
    expect(nextStep(lockOf(6, []), lock)).toEqual(raise);
  });

  it('asks for a new lock after the read version was raised', () => {
    expect(nextStep(lock, { ...lock, readVersion: 7 })).toBe('Run `npm run read-version` and commit the lock.');
  });
});

describe('the code of a projection', () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'openmusic-source-'));
  afterAll(() => rmSync(folder, { recursive: true }));
  writeFileSync(path.join(folder, 'text.ts'), 'export const fold = (text: string) => text;\nexport const other = 1;\n');
  const CODE = `import { fold, other } from './text.ts';
    interface Row { readonly a: string }
    const least = 5;
    const rowOf = (a: string): Row => ({ a: fold(a), b: Math.min(3, least) });
    export const things = table('things').projection({ made: ({ a }) => rowOf(a) });
    export const find = () => 'SELECT ' + other;`;

  function sourceWith(from = '', to = ''): string {
    const file = path.join(folder, 'things.ts');
    writeFileSync(file, CODE.replace(from, to));
    return sourceOf(file, 'things');
  }

  it.each([
    ['in a handler', 'rowOf(a)', 'rowOf(a.b)'],
    ['in a function that it uses', 'Math.min', 'Math.max'],
    ['in a constant', 'least = 5', 'least = 6'],
    ['in the file from which a function comes', './text.ts', './none.ts'],
  ])('differs after a change %s', (_, from, to) => {
    expect(sourceWith(from, to)).not.toBe(sourceWith());
  });

  it.each([
    ['a comment', 'const least', '/* The least. */ const least'],
    ['spaces', 'fold(a), b', 'fold(a),\n\n  b'],
    ['a type', 'readonly a: string', 'readonly a: string | null'],
    ['a query', "'SELECT '", "'DELETE '"],
  ])('is the same after a change of %s', (_, from, to) => {
    expect(sourceWith(from, to)).toBe(sourceWith());
  });
});
