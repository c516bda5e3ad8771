import type { Database } from '../postgres/pool.ts';
import type { Applied, Projection, Rows } from './projection.ts';
import type { SongSummary } from './songs.ts';

export interface AlbumView {
  /** Version of the album's stream. */
  readonly version: number;
  readonly album: {
    readonly id: string;
    readonly name: string;
    readonly year: number;
    readonly coverUrl: string | null;
    readonly songs: readonly SongSummary[];
  };
}

function apply({ stream, version, event }: Applied, rows: Rows): void {
  switch (event.type) {
    case 'AlbumCreated':
      rows.put({ id: stream, version, name: event.name, year: event.year });
      break;
    case 'AlbumChanged':
      rows.patch(stream, { version, name: event.name, year: event.year });
      break;
    case 'AlbumDeleted':
      rows.remove(stream);
      break;
    default:
  }
}

export const albums: Projection = {
  table: { name: 'albums', columns: { id: 'text', version: 'integer', name: 'text', year: 'integer' } },
  ddl: `CREATE TABLE albums (
    id text COLLATE "C" PRIMARY KEY,
    version integer NOT NULL,
    name text NOT NULL,
    year integer NOT NULL
  )`,
  apply,
};

interface SongRow {
  readonly version: number;
  readonly name: string;
  readonly year: number;
  /** Of one of its songs; null when it has none. */
  readonly song: string | null;
  readonly title: string;
  readonly performer: string;
}

/** An album with its songs as they are now, by id. A row for each song is cheaper than one with all of them as JSON. */
export async function findAlbum(database: Database, id: string): Promise<AlbumView | undefined> {
  const rows = await database.query<SongRow & Record<string, unknown>>({
    name: 'find-album',
    text: `SELECT a.version, a.name, a.year, s.id AS song, s.title, s.performer
      FROM albums a LEFT JOIN songs s ON s.album_id = a.id WHERE a.id = $1`,
    values: [id],
  });
  const [first] = rows;
  if (!first) return undefined;
  const { version, name, year } = first;
  const songs = rows.flatMap(({ song, title, performer }) => (song === null ? [] : [{ id: song, title, performer }]));
  songs.sort((one, other) => (one.id < other.id ? -1 : 1));
  return { version, album: { id, name, year, coverUrl: null, songs } };
}

export async function albumExists(database: Database, id: string): Promise<boolean> {
  const rows = await database.query({ name: 'album-exists', text: 'SELECT FROM albums WHERE id = $1', values: [id] });
  return rows.length > 0;
}
