import type { Database } from '../postgres/pool.ts';
import { IN_PLAYLIST, PLAYLIST_ORDER } from './playlist-entries.ts';
import type { Applied, Projection, Rows } from './projection.ts';
import type { SongSummary } from './songs.ts';

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
  readonly playlist: PlaylistSummary & { readonly songs: readonly SongSummary[] };
}

function apply({ stream, version, time, event }: Applied, rows: Rows): void {
  switch (event.type) {
    case 'PlaylistCreated':
      rows.put({
        ...{ id: stream, version, name: event.name, owner_id: event.ownerId },
        ...{ entries_version: version, deleted_at: null },
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
  readonly songs: SongSummary[];
}

/** A playlist with its songs; undefined when there is none. */
export async function findPlaylist(database: Database, id: string): Promise<PlaylistView | undefined> {
  const [row] = await database.query<PlaylistRow & Record<string, unknown>>({
    name: 'find-playlist',
    text: `SELECT p.version, p.name, ${OWNER} AS username, ${READERS} AS readers, coalesce((
        SELECT json_agg(json_build_object('id', s.id, 'title', s.title, 'performer', s.performer) ORDER BY ${PLAYLIST_ORDER})
        FROM playlist_entries e JOIN songs s ON s.id = e.song_id WHERE ${IN_PLAYLIST}), '[]') AS songs
      FROM playlists p LEFT JOIN accounts owner ON owner.id = p.owner_id WHERE p.id = $1 AND p.deleted_at IS NULL`,
    values: [id],
  });
  if (!row) return undefined;
  const { version, readers, name, username, songs } = row;
  return { version, readers, playlist: { id, name, username, songs } };
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

/** An account's own playlists and those it collaborates on, by id, each once. */
export function playlistsOf(database: Database, account: string): Promise<PlaylistSummary[]> {
  return database.query<PlaylistSummary & Record<string, string>>({
    name: 'playlists-of',
    text: `SELECT p.id, p.name, ${OWNER} AS username
      FROM (
        SELECT id FROM playlists WHERE owner_id = $1
        UNION SELECT playlist_id FROM collaborations WHERE account_id = $1
      ) mine
      JOIN playlists p ON p.id = mine.id LEFT JOIN accounts owner ON owner.id = p.owner_id
      WHERE p.deleted_at IS NULL ORDER BY p.id`,
    values: [account],
  });
}
