import { describe, expect, it } from '@jest/globals';
import type { AlbumEvent } from '../../events/catalog.ts';
import type { AnyEvent } from '../../events/events.ts';
import { changesOf } from './postgres-store.ts';
import { checked, column, ignored, nullable, table } from './table.ts';

const things = table(
  'things',
  {
    id: column.key,
    version: column.streamVersion,
    name: checked(column.text, 'octet_length(name) < 9'),
    cover: nullable(column.id),
  },
  { storage: 'fillfactor = 70', indexes: ['(cover)', 'CREATE UNIQUE INDEX ON things (name)'] },
);
const projection = things.projection<AlbumEvent>({
  AlbumCreated: ({ name }, rows, { stream }) => rows.put({ id: stream, name, cover: null }),
  AlbumChanged: ignored,
  AlbumCoverChanged: ({ file }, rows, { stream }) => rows.patch(stream, { cover: file }),
  AlbumDeleted: (_, rows, { stream }) => rows.remove(stream),
});

const ALBUM = { albumId: 'album-1', name: 'a', year: 2000 };
const CREATED = { type: 'AlbumCreated', ...ALBUM } as const;
const CHANGED = { type: 'AlbumChanged', ...ALBUM } as const;

/** The writes of a history of one stream. */
const writesOf = (...events: readonly AnyEvent[]) => {
  const applied = events.map((event, n) => ({ stream: 'album-1', version: n + 1, time: '', actor: '', event }));
  return changesOf([projection], applied).flatMap((changes) =>
    changes.writes().map(({ kind, rows }) => ({ kind, rows })),
  );
};

describe('a table', () => {
  it('has the DDL of its columns, storage and indexes', () => {
    expect(projection.ddl.split(/\s*\n\s*/)).toEqual([
      'CREATE TABLE things (',
      'id text COLLATE "C" PRIMARY KEY,',
      'version integer NOT NULL,',
      'name text NOT NULL CHECK (octet_length(name) < 9),',
      'cover text COLLATE "C"',
      ') WITH (fillfactor = 70);',
      'CREATE INDEX ON things (cover);',
      'CREATE UNIQUE INDEX ON things (name)',
    ]);
  });

  it('gives the type of each column', () => {
    expect(projection.table).toEqual({
      name: 'things',
      columns: { id: 'text', version: 'integer', name: 'text', cover: 'text' },
    });
  });
});

describe('a projection', () => {
  it('keeps the version of the stream in a row that it puts', () => {
    const row = { id: 'album-1', version: 1, name: 'a', cover: null };
    expect(writesOf(CREATED)).toEqual([{ kind: 'put', rows: [row] }]);
    expect(writesOf(CREATED, CHANGED)).toEqual([{ kind: 'put', rows: [{ ...row, version: 2 }] }]);
  });

  it('keeps the version of the stream with an event that changes no other column', () => {
    expect(writesOf(CHANGED)).toEqual([{ kind: 'patch', rows: [{ id: 'album-1', version: 1 }] }]);
  });

  it('writes no version of a row that it removes', () => {
    expect(writesOf(CREATED, { type: 'AlbumDeleted', ...ALBUM })).toEqual([
      { kind: 'remove', rows: [{ id: 'album-1' }] },
    ]);
  });

  it('ignores events of other categories', () => {
    expect(writesOf({ type: 'AlbumLiked', albumId: 'album-1', accountId: 'user-1' })).toEqual([]);
  });

  it('does not compile without a handler for each event of its categories', () => {
    // @ts-expect-error: AlbumChanged, AlbumCoverChanged and AlbumDeleted are missing.
    things.projection<AlbumEvent>({ AlbumCreated: ignored });
    expect(projection.ddl).toBe(things.ddl);
  });
});
