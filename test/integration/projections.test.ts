import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import pg from 'pg';
import type { AnyEvent } from '../../src/events/events.ts';
import { changesOf } from '../../src/projections/postgres-store.ts';
import type { Applied, Projection } from '../../src/projections/projection.ts';
import { projections } from '../../src/projections/projections.ts';
import { bulkSql } from '../../src/projections/statement.ts';
import { createDatabase, type TestDatabase } from '../support/servers/index.ts';

let database: TestDatabase;
let client: pg.Client;

beforeAll(async () => {
  database = await createDatabase();
  client = new pg.Client(database.connection);
  await client.connect();
  await client.query('CREATE EXTENSION IF NOT EXISTS pg_trgm WITH SCHEMA public');
});
afterAll(async () => {
  await client.end();
  await database.drop();
});

/** In one batch, as one statement per write. */
async function apply(projection: Projection, events: readonly Applied[]): Promise<void> {
  for (const write of changesOf([projection], events).flatMap((changes) => changes.writes())) {
    const text = `WITH gate AS (SELECT true AS open) ${bulkSql(write).replaceAll('$n', '$1')}`;
    await client.query(text, [JSON.stringify(write.rows)]);
  }
}

/** The table's rows after each of some batches was applied so many times, on an empty table. */
async function rowsAfter(
  projection: Projection,
  batches: readonly (readonly Applied[])[],
  times = 1,
): Promise<unknown[]> {
  await client.query(`TRUNCATE ${projection.table.name}`);
  for (const batch of batches) for (let left = times; left > 0; left--) await apply(projection, batch);
  return (await client.query<Record<string, unknown>>(`SELECT * FROM ${projection.table.name} ORDER BY 1`)).rows;
}

const history = (stream: string, ...events: readonly AnyEvent[]): Applied[] =>
  events.map((event, index) => ({ stream, version: index + 1, time: '2026-01-01T00:00:00.000Z', event }));

const about = { title: 'Yellow', year: 2000, genre: 'Rock', performer: 'Coldplay', duration: 266, albumId: 'album-1' };
const other = { title: 'Trouble', year: 2001, genre: 'Pop', performer: 'Others', duration: null, albumId: null };
const albumCreated = { type: 'AlbumCreated', name: 'Parachutes', year: 2000 } as const;
const albumChanged = { type: 'AlbumChanged', name: 'X&Y', year: 2005 } as const;
const songCreated = { type: 'SongCreated', ...about } as const;
const songChanged = { type: 'SongChanged', ...other } as const;
const row = ({ albumId, ...rest }: typeof about | typeof other) => ({ ...rest, album_id: albumId });

/** By projection: histories, each event of which is an arm of its apply, and the row each ends in. */
const cases: Record<string, [string, Applied[], object | undefined][]> = {
  albums: [
    ['created', history('album-1', albumCreated), { version: 1, name: 'Parachutes', year: 2000 }],
    ['changed', history('album-1', albumCreated, albumChanged), { version: 2, name: 'X&Y', year: 2005 }],
    ['deleted', history('album-1', albumCreated, albumChanged, { type: 'AlbumDeleted' }), undefined],
    ['of another category', history('song-1', songCreated, songChanged, { type: 'SongDeleted' }), undefined],
  ],
  songs: [
    ['created', history('song-1', songCreated), { version: 1, ...row(about) }],
    ['changed', history('song-1', songCreated, songChanged), { version: 2, ...row(other) }],
    ['deleted', history('song-1', songCreated, songChanged, { type: 'SongDeleted' }), undefined],
    ['of another category', history('album-1', albumCreated, albumChanged, { type: 'AlbumDeleted' }), undefined],
  ],
};

describe.each(projections.map((projection) => [projection.table.name, projection] as const))(
  '%s',
  (name, projection) => {
    beforeAll(async () => {
      await client.query(projection.ddl);
    });

    it('has histories here for every projection', () => expect(cases[name]).toBeDefined());

    it.each(cases[name] ?? [])(
      '%s: the rows are the same applied once, twice, in one batch and one by one',
      async (_, events, ends) => {
        const rows = ends ? [{ id: events[0]!.stream, ...ends }] : [];
        const oneByOne = events.map((each) => [each]);
        expect(await rowsAfter(projection, oneByOne)).toEqual(rows);
        expect(await rowsAfter(projection, oneByOne, 2)).toEqual(rows);
        expect(await rowsAfter(projection, [events])).toEqual(rows);
        expect(await rowsAfter(projection, [events], 2)).toEqual(rows);
      },
    );

    it('names all its columns in its DDL', async () => {
      const { fields } = await client.query(`SELECT * FROM ${name}`);
      expect(fields.map((field) => field.name)).toEqual(Object.keys(projection.table.columns));
    });
  },
);
