import { type Client, type Database, transaction } from '../../postgres/pool.ts';
import { IN_PLAYLIST, PLAYLIST_ORDER } from '../../projections/playlist-entries.ts';

/** The data at one moment. */
export interface Snapshot {
  readonly catalog: Catalog;
  /** Songs of the owner's playlists by playlist, in playlist order, in chunks. An empty playlist has one row without a song. */
  readonly playlists: AsyncIterable<readonly PlaylistSong[]>;
}

export interface Catalog {
  /** ISO 8601. */
  readonly takenAt: string;
  readonly albums: number;
  readonly songs: number;
  /** Those with the most songs, as are years and performers. */
  readonly genres: readonly Share<string>[];
  readonly years: readonly Share<number>[];
  readonly performers: readonly Share<string>[];
}

export interface Share<Name> {
  readonly name: Name;
  readonly songs: number;
}

export interface PlaylistSong {
  readonly playlistId: string;
  readonly playlist: string;
  /** How many songs the playlist has. */
  readonly songs: number;
  readonly collaborators: number;
  /** From 1; null when the playlist is empty. */
  readonly position: number | null;
  readonly songId: string;
  readonly title: string;
  readonly performer: string;
}

const MAX_SHARES = 100;
const CHUNK = 500;

/** The pool prefers indexes, which do not help where all rows are counted. */
const BEGIN = `SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY; SET LOCAL enable_seqscan = on;
  SET LOCAL enable_hashjoin = on; SET LOCAL plan_cache_mode = force_custom_plan`;

/** Calls `read` with the catalog and an account's playlists as they are now, however long it reads. */
export const atOneMoment = <T>(
  database: Database,
  ownerId: string,
  read: (snapshot: Snapshot) => Promise<T>,
): Promise<T> =>
  database.use((client) =>
    transaction(client, async () => {
      await client.query(BEGIN);
      return read({ catalog: await catalogOf(client), playlists: playlistsOf(client, ownerId) });
    }),
  );

async function catalogOf(client: Client): Promise<Catalog> {
  const { rows } = await client.query<{ takenAt: Date; albums: number; songs: number }>(
    `SELECT now() AS "takenAt", (SELECT count(*) FROM albums) AS albums, (SELECT count(*) FROM songs) AS songs`,
  );
  const [{ takenAt, albums, songs } = { takenAt: new Date(), albums: 0, songs: 0 }] = rows;
  return {
    takenAt: takenAt.toISOString(),
    albums,
    songs,
    genres: await sharesOf<string>(client, 'genre'),
    years: await sharesOf<number>(client, 'year'),
    performers: await sharesOf<string>(client, 'performer'),
  };
}

async function sharesOf<Name>(client: Client, column: 'genre' | 'year' | 'performer'): Promise<Share<Name>[]> {
  const { rows } = await client.query<Share<Name>>(
    `SELECT ${column} AS name, count(*) AS songs FROM songs GROUP BY name ORDER BY songs DESC, name LIMIT ${MAX_SHARES}`,
  );
  return rows;
}

/** Counts once for each playlist, not for each of its songs. */
const PLAYLISTS = `WITH own AS MATERIALIZED (
    SELECT id, name, entries_version, (SELECT count(*) FROM collaborations WHERE playlist_id = p.id) AS collaborators,
      (SELECT count(*) FROM playlist_entries e JOIN songs s ON s.id = e.song_id WHERE ${IN_PLAYLIST}) AS songs
    FROM playlists p WHERE owner_id = $1 AND deleted_at IS NULL)
  SELECT p.id AS "playlistId", p.name AS playlist, p.songs, p.collaborators, s.id AS "songId", s.title, s.performer,
    CASE WHEN s.id IS NOT NULL THEN row_number() OVER (PARTITION BY p.id ORDER BY ${PLAYLIST_ORDER}) END AS position
  FROM own p LEFT JOIN (playlist_entries e JOIN songs s ON s.id = e.song_id) ON ${IN_PLAYLIST}
  ORDER BY p.id, ${PLAYLIST_ORDER}`;

async function* playlistsOf(client: Client, ownerId: string): AsyncGenerator<PlaylistSong[], void> {
  await client.query(`DECLARE playlists NO SCROLL CURSOR FOR ${PLAYLISTS}`, [ownerId]);
  for (let full = true; full;) {
    const { rows } = await client.query<PlaylistSong>(`FETCH ${CHUNK} FROM playlists`);
    full = rows.length === CHUNK;
    yield rows;
  }
}
