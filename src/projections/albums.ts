import type { AlbumEvent } from '../events/catalog.ts';
import type { ListReader } from '../postgres/list-reader.ts';
import type { Database } from '../postgres/pool.ts';
import { areAll, byFoundKeys, type List, MAX_KEYS, upToBytes } from './engine/lists.ts';
import { column, nullable, type RowOf, table } from './engine/table.ts';
import { songsById, type songTable, type SongSummary } from './songs.ts';

export interface AlbumView {
  /** Version of the album's stream. */
  readonly version: number;
  readonly album: {
    readonly id: string;
    readonly name: string;
    readonly year: number;
    /** Name of the file with the cover. */
    readonly cover: string | null;
    /** By id; undefined when there are too many to read at once. */
    readonly songs: readonly SongSummary[] | undefined;
  };
}

/** How many songs are read with their album. */
const MAX_SONGS = 1_000;

const albumTable = table(
  'albums',
  {
    id: column.key,
    version: column.streamVersion,
    name: column.text,
    year: column.integer,
    /** Name of the file. */
    cover: nullable(column.id),
  },
  { indexes: ['(cover)'] },
);

export const albums = albumTable.projection<AlbumEvent>({
  AlbumCreated: ({ name, year }, rows, { stream }) => rows.put({ id: stream, name, year, cover: null }),
  AlbumChanged: ({ name, year }, rows, { stream }) => rows.patch(stream, { name, year }),
  AlbumCoverChanged: ({ file }, rows, { stream }) => rows.patch(stream, { cover: file }),
  AlbumDeleted: (_, rows, { stream }) => rows.remove(stream),
});

type AlbumRow = RowOf<typeof albumTable, 'version' | 'name' | 'year' | 'cover'>;

interface SongRow extends AlbumRow {
  /** Id of one of its songs; null when it has none. */
  readonly song: string | null;
  readonly title: string;
  readonly performer: string;
  /** Bytes of the texts up to this song. */
  readonly bytes: number | null;
}

const FIRST_SONGS = upToBytes(`SELECT id, title, performer FROM songs WHERE album_id = $1 LIMIT ${MAX_SONGS + 1}`, [
  'title',
  'performer',
]);

/** An album with its songs as they are now. One row for each song is cheaper than one row with all of them as JSON. */
export async function findAlbum(database: Database, id: string): Promise<AlbumView | undefined> {
  const rows = await database.query<SongRow>({
    name: 'find-album',
    text: `SELECT a.version, a.name, a.year, a.cover, s.id AS song, s.title, s.performer, s.bytes
      FROM albums a LEFT JOIN LATERAL (${FIRST_SONGS}) s ON true WHERE a.id = $1`,
    values: [id],
  });
  const [first] = rows;
  if (!first) return undefined;
  const { version, name, year, cover } = first;
  const album = { id, name, year, cover };
  if (!areAll(rows, MAX_SONGS)) return { version, album: { ...album, songs: undefined } };
  const songs = rows.flatMap(({ song, title, performer }) => (song === null ? [] : [{ id: song, title, performer }]));
  songs.sort((one, other) => (one.id < other.id ? -1 : 1));
  return { version, album: { ...album, songs } };
}

/** All songs of an album, by id. */
export function songsOfAlbum({ query }: ListReader, id: string): List<SongSummary> {
  const keysAfter = async (last = '') => {
    const text = `SELECT id FROM songs WHERE album_id = $1 AND (id || '') > $2 ORDER BY id LIMIT ${MAX_KEYS}`;
    const rows = await query<RowOf<typeof songTable, 'id'>>({ name: 'ids-of-album', text, values: [id, last] });
    return rows.map((song) => song.id);
  };
  return byFoundKeys(keysAfter, (ids) => songsById(query, ids, { album: id }));
}

export async function albumExists(database: Database, id: string): Promise<boolean> {
  const rows = await database.query({ name: 'album-exists', text: 'SELECT FROM albums WHERE id = $1', values: [id] });
  return rows.length > 0;
}

/** Of these files, by name, those that are the cover of an album now. */
export async function coversAmong(database: Database, files: readonly string[]): Promise<ReadonlySet<string>> {
  const rows = await database.query<RowOf<typeof albumTable, 'cover'>>({
    name: 'covers-among',
    text: 'SELECT cover FROM albums WHERE cover = ANY($1)',
    values: [files],
  });
  return new Set(rows.flatMap(({ cover }) => cover ?? []));
}

/** Names of the files of covers, by the id of their album. */
export async function coversOf(database: Database, albumIds: readonly string[]): Promise<Map<string, string>> {
  const rows = await database.query<RowOf<typeof albumTable, 'id' | 'cover'>>({
    name: 'covers-of',
    text: 'SELECT id, cover FROM albums WHERE id = ANY($1) AND cover IS NOT NULL',
    values: [albumIds],
  });
  return new Map(rows.flatMap(({ id, cover }): [string, string][] => (cover === null ? [] : [[id, cover]])));
}
