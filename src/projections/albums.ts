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

/** An album with its songs as they are now, by id. */
export async function findAlbum(database: Database, id: string): Promise<AlbumView | undefined> {
  const [row] = await database.query<{ version: number; name: string; year: number; songs: SongSummary[] }>({
    name: 'find-album',
    text: `SELECT version, name, year, coalesce((
        SELECT json_agg(json_build_object('id', s.id, 'title', s.title, 'performer', s.performer) ORDER BY s.id)
        FROM songs s WHERE s.album_id = a.id), '[]') AS songs
      FROM albums a WHERE id = $1`,
    values: [id],
  });
  if (!row) return undefined;
  const { version, name, year, songs } = row;
  return { version, album: { id, name, year, coverUrl: null, songs } };
}

export async function albumExists(database: Database, id: string): Promise<boolean> {
  const rows = await database.query({ name: 'album-exists', text: 'SELECT FROM albums WHERE id = $1', values: [id] });
  return rows.length > 0;
}
