import type { ListReader } from '../postgres/list-reader.ts';
import type { Database } from '../postgres/pool.ts';
import { areAll, byFoundKeys, byKey, type List, MAX_KEYS, upToBytes } from './engine/lists.ts';
import { IN_PLAYLIST, PLAYLIST_ORDER } from './playlist-entries.ts';
import type { Applied, Projection, Rows } from './engine/projection.ts';
import { songsById, type SongSummary } from './songs.ts';

export interface PlaylistSummary {
  readonly id: string;
  readonly name: string;
  /** The owner's; `deleted` when there is no such account any more. */
  readonly username: string;
}

export interface PlaylistView {
  /** Version of the playlist's stream. */
  readonly version: number;
  /** Ids of the accounts that may read it: its owner, and its collaborators. */
  readonly readers: readonly string[];
  /** Songs in playlist order, as they are now. */
  readonly playlist: PlaylistSummary & {
    /** Undefined when there are too many to read at once. */
    readonly songs: readonly SongSummary[] | undefined;
  };
}

/** Songs that are read with their playlist, and playlists that are read at once. */
const MAX_ROWS = 1_000;

function apply({ stream, version, time, event }: Applied, rows: Rows): void {
  switch (event.type) {
    case 'PlaylistCreated':
      rows.put({
        id: stream,
        version,
        name: event.name,
        owner_id: event.ownerId,
        entries_version: version,
        deleted_at: null,
      });
      break;
    case 'PlaylistChanged':
      rows.patch(stream, { version, name: event.name });
      break;
    case 'PlaylistRestored':
      rows.patch(stream, { version, name: event.name, entries_version: version });
      break;
    case 'SongsAddedToPlaylist':
    case 'SongsMovedInPlaylist':
    case 'SongRemovedFromPlaylist':
    case 'CollaboratorAdded':
    case 'CollaboratorRemoved':
      rows.patch(stream, { version });
      break;
    case 'PlaylistDeleted':
      rows.patch(stream, { version, deleted_at: time });
      break;
    case 'PlaylistUndeleted':
      rows.patch(stream, { version, deleted_at: null });
      break;
    default:
  }
}

/** Playlists, deleted ones included: they can come back. */
export const playlists: Projection = {
  table: {
    name: 'playlists',
    columns: {
      id: 'text',
      version: 'integer',
      name: 'text',
      owner_id: 'text',
      entries_version: 'integer',
      deleted_at: 'timestamptz',
    },
  },
  ddl: `CREATE TABLE playlists (
    id text COLLATE "C" PRIMARY KEY,
    version integer NOT NULL,
    name text NOT NULL,
    owner_id text COLLATE "C" NOT NULL,
    -- Of the event that made or restored the list of entries: only entries from there on are in the playlist.
    entries_version integer NOT NULL,
    deleted_at timestamptz
  );
  CREATE INDEX ON playlists (owner_id)`,
  apply,
};

/** SQL of the accounts that may read the playlist `p`. */
const READERS = `ARRAY(SELECT p.owner_id UNION ALL SELECT account_id FROM collaborations WHERE playlist_id = p.id)`;

const OWNER = `coalesce(owner.username, 'deleted')`;

interface PlaylistRow {
  readonly version: number;
  readonly name: string;
  readonly username: string;
  readonly readers: string[];
  readonly songs: (SongSummary & { readonly bytes: number })[];
}

const FIRST_SONGS = upToBytes(
  `SELECT s.id, s.title, s.performer FROM playlist_entries e JOIN songs s ON s.id = e.song_id WHERE ${IN_PLAYLIST}
    ORDER BY ${PLAYLIST_ORDER} LIMIT ${MAX_ROWS + 1}`,
  ['title', 'performer'],
);

/** A playlist with its songs; undefined when there is none. */
export async function findPlaylist(database: Database, id: string): Promise<PlaylistView | undefined> {
  const [row] = await database.query<PlaylistRow & Record<string, unknown>>({
    name: 'find-playlist',
    text: `SELECT p.version, p.name, ${OWNER} AS username, ${READERS} AS readers, coalesce((SELECT json_agg(song) FROM (${FIRST_SONGS}) song), '[]') AS songs
      FROM playlists p LEFT JOIN accounts owner ON owner.id = p.owner_id WHERE p.id = $1 AND p.deleted_at IS NULL`,
    values: [id],
  });
  if (!row) return undefined;
  const { version, readers, name, username } = row;
  const songs = areAll(row.songs, MAX_ROWS)
    ? row.songs.map(({ id, title, performer }) => ({ id, title, performer }))
    : undefined;
  return { version, readers, playlist: { id, name, username, songs } };
}

interface EntryRow extends Record<string, unknown> {
  readonly id: string;
  readonly order_key: string;
  readonly song_id: string;
}

/** The songs of a playlist in its order, however many there are. */
export function songsOfPlaylist({ query }: ListReader, id: string): List<SongSummary> {
  const keysAfter = (last?: EntryRow) =>
    query<EntryRow>({
      name: 'entries-of-playlist',
      text: `SELECT e.id, e.order_key, e.song_id FROM playlists p JOIN playlist_entries e ON ${IN_PLAYLIST}
        WHERE p.id = $1 AND (e.order_key, e.id) > ($2, $3) ORDER BY ${PLAYLIST_ORDER} LIMIT ${MAX_KEYS}`,
      values: [id, last?.order_key ?? '', last?.id ?? ''],
    });
  const rowsOf = async (entries: readonly EntryRow[]) => {
    const rows = await songsById(query, [...new Set(entries.map(({ song_id }) => song_id))]);
    const songs = new Map(rows.map((song) => [song.id, song]));
    return entries.flatMap(({ song_id }) => songs.get(song_id) ?? []);
  };
  return byFoundKeys(keysAfter, rowsOf);
}

/** The accounts that may read a playlist; undefined when there is none. */
export async function readersOf(database: Database, id: string): Promise<readonly string[] | undefined> {
  const [row] = await database.query<{ readers: string[] }>({
    name: 'readers-of-playlist',
    text: `SELECT ${READERS} AS readers FROM playlists p WHERE p.id = $1 AND p.deleted_at IS NULL`,
    values: [id],
  });
  return row?.readers;
}

/** An account's own playlists, and those it collaborates on, by id, each once. */
const PLAYLISTS = `SELECT p.id, p.name, ${OWNER} AS username
  FROM (
    SELECT id FROM playlists WHERE owner_id = $1
    UNION SELECT playlist_id FROM collaborations WHERE account_id = $1
  ) mine
  JOIN playlists p ON p.id = mine.id LEFT JOIN accounts owner ON owner.id = p.owner_id
  WHERE p.deleted_at IS NULL AND p.id > $2 ORDER BY p.id LIMIT $3`;

/** The playlists that an account may read; undefined when there are too many to read at once. */
export async function playlistsOf({ query }: Pick<Database, 'query'>, account: string) {
  const rows = await query<PlaylistSummary & { bytes: number }>({
    name: 'first-playlists-of',
    text: upToBytes(PLAYLISTS, ['name']),
    values: [account, '', MAX_ROWS + 1],
  });
  return areAll(rows, MAX_ROWS) ? rows.map(({ id, name, username }) => ({ id, name, username })) : undefined;
}

/** The same, however many there are. */
export const allPlaylistsOf = ({ query }: ListReader, account: string): List<PlaylistSummary> =>
  byKey((most, last) =>
    query<PlaylistSummary & Record<string, string>>({
      name: 'playlists-of',
      text: PLAYLISTS,
      values: [account, last?.id ?? '', most],
    }),
  );
