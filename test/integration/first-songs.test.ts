import { afterAll, beforeAll, expect, it } from '@jest/globals';
import pg from 'pg';
import { albums, findAlbum } from '../../src/projections/albums.ts';
import { collaborations } from '../../src/projections/collaborations.ts';
import { playlistEntries } from '../../src/projections/playlist-entries.ts';
import { findPlaylist, playlists, playlistsOf } from '../../src/projections/playlists.ts';
import { songs } from '../../src/projections/songs.ts';
import { type Database, openDatabase } from '../../src/postgres/pool.ts';
import { createDatabase, type TestDatabase } from '../support/servers/index.ts';

let created: TestDatabase;
let database: Database;
/** The size of the rows that the last query found, as JSON. */
let bytesRead = 0;

/** A thousand songs with such a title and performer have 8 MB. */
const LONG = '\u{1F3B5}'.repeat(1_000);

beforeAll(async () => {
  created = await createDatabase();
  const client = new pg.Client(created.connection);
  await client.connect();
  await client.query('CREATE TABLE accounts (id text, username text); CREATE EXTENSION pg_trgm WITH SCHEMA public');
  for (const { ddl } of [songs, albums, playlists, playlistEntries, collaborations]) await client.query(ddl);
  await client.query(`INSERT INTO albums SELECT id, 1, 'a', 2000 FROM unnest(ARRAY['few', 'many', 'long']) id`);
  await client.query(`INSERT INTO accounts SELECT id, id FROM unnest(ARRAY['few', 'many', 'long']) id`);
  await client.query(`INSERT INTO playlists SELECT id, 1, 'p', id, 1 FROM unnest(ARRAY['few', 'many', 'long']) id`);
  const add = (album: string, count: number, title: string) =>
    client.query(
      `WITH added AS (INSERT INTO songs (id, version, title, folded_title, year, genre, performer, folded_performer, album_id)
         SELECT $1 || to_char(n, 'FM0000'), 1, $3, $3, 2000, 'g', $3, $3, $1 FROM generate_series(1, $2::int) n RETURNING id)
       INSERT INTO playlist_entries SELECT 'entry-' || id, $1, id, 1, id FROM added`,
      [album, count, title],
    );
  await add('few', 1_000, 't');
  await add('many', 1_001, 't');
  await add('long', 1_000, LONG);
  await client.query(`INSERT INTO playlists SELECT 'more-' || n, 1, $1, 'long', 1 FROM generate_series(1, 900) n`, [
    LONG,
  ]);
  await client.end();
  const opened = openDatabase(created.connection, { name: 'first songs', max: 1, searchPath: ['public'] });
  database = {
    ...opened,
    async query<Row extends pg.QueryResultRow>(query: pg.QueryConfig) {
      const rows = await opened.query<Row>(query);
      bytesRead = Buffer.byteLength(JSON.stringify(rows));
      return rows;
    },
  };
});
afterAll(async () => {
  await database.stop();
  await created.drop();
});

const NO_MORE_THAN = 300_000;

it('are read with their album when they are few and short, up to a limit of bytes', async () => {
  const found = (await findAlbum(database, 'few'))?.album.songs;
  expect(found?.map(({ id }) => id)).toEqual(
    Array.from({ length: 1_000 }, (_, n) => `few${String(n + 1).padStart(4, '0')}`),
  );
  expect(found?.[0]).toEqual({ id: 'few0001', title: 't', performer: 't' });
  for (const id of ['many', 'long']) {
    expect(await findAlbum(database, id)).toMatchObject({ version: 1, album: { id, name: 'a', songs: undefined } });
    expect(bytesRead).toBeLessThan(NO_MORE_THAN);
  }
});

it('are read with their playlist in the same way', async () => {
  const found = (await findPlaylist(database, 'few'))?.playlist.songs;
  expect(found?.map(({ id }) => id)).toEqual(
    Array.from({ length: 1_000 }, (_, n) => `few${String(n + 1).padStart(4, '0')}`),
  );
  expect(found?.[0]).toEqual({ id: 'few0001', title: 't', performer: 't' });
  for (const id of ['many', 'long']) {
    expect(await findPlaylist(database, id)).toMatchObject({ version: 1, playlist: { id, songs: undefined } });
    expect(bytesRead).toBeLessThan(NO_MORE_THAN);
  }
});

it('are read for playlists with their account', async () => {
  expect(await playlistsOf(database, 'few')).toEqual([{ id: 'few', name: 'p', username: 'few' }]);
  expect(await playlistsOf(database, 'long')).toBeUndefined();
  expect(bytesRead).toBeLessThan(NO_MORE_THAN);
});
