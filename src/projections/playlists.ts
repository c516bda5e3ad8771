import type { PlaylistEvent } from '../events/playlists.ts';
import type { ListReader } from '../postgres/list-reader.ts';
import type { Database } from '../postgres/pool.ts';
import { areAll, byFoundKeys, byKey, type List, MAX_KEYS, upToBytes } from './engine/lists.ts';
import { type entryTable, IN_PLAYLIST, PLAYLIST_ORDER } from './playlist-entries.ts';
import { column, ignored, nullable, type RowOf, table } from './engine/table.ts';
import { songsById, type SongSummary } from './songs.ts';

export interface PlaylistSummary {
  readonly id: string;
  readonly name: string;
  /** The owner's; `deleted` when the account no longer exists. */
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

/** How many songs are read with their playlist, and how many playlists are read at once. */
const MAX_ROWS = 1_000;

const playlistTable = table(
  'playlists',
  {
    id: column.key,
    version: column.streamVersion,
    name: column.text,
    owner_id: column.id,
    /** Version of the event that made or restored the list of entries: only entries from there on are in the playlist. */
    entries_version: column.integer,
    deleted_at: nullable(column.timestamptz),
  },
  { indexes: ['(owner_id)'] },
);

/** Playlists, deleted ones included, because they can come back. */
export const playlists = playlistTable.projection<PlaylistEvent>({
  PlaylistCreated: ({ name, ownerId }, rows, { stream, version }) =>
    rows.put({ id: stream, name, owner_id: ownerId, entries_version: version, deleted_at: null }),
  PlaylistChanged: ({ name }, rows, { stream }) => rows.patch(stream, { name }),
  PlaylistRestored: ({ name }, rows, { stream, version }) => rows.patch(stream, { name, entries_version: version }),
  PlaylistDeleted: (_, rows, { stream, time }) => rows.patch(stream, { deleted_at: time }),
  PlaylistUndeleted: (_, rows, { stream }) => rows.patch(stream, { deleted_at: null }),
  SongsAddedToPlaylist: ignored,
  SongsMovedInPlaylist: ignored,
  SongRemovedFromPlaylist: ignored,
  CollaboratorAdded: ignored,
  CollaboratorRemoved: ignored,
});

/** SQL of the accounts that may read the playlist `p`. */
const READERS = `ARRAY(SELECT p.owner_id UNION ALL SELECT account_id FROM collaborations WHERE playlist_id = p.id)`;

const OWNER = `coalesce(owner.username, 'deleted')`;

type PlaylistRow = RowOf<typeof playlistTable, 'version' | 'name'> & {
  readonly username: string;
  readonly readers: string[];
  readonly songs: (SongSummary & { readonly bytes: number })[];
};

const FIRST_SONGS = upToBytes(
  `SELECT s.id, s.title, s.performer FROM playlist_entries e JOIN songs s ON s.id = e.song_id WHERE ${IN_PLAYLIST}
    ORDER BY ${PLAYLIST_ORDER} LIMIT ${MAX_ROWS + 1}`,
  ['title', 'performer'],
);

/** A playlist with its songs; undefined when there is none. */
export async function findPlaylist(database: Database, id: string): Promise<PlaylistView | undefined> {
  const [row] = await database.query<PlaylistRow>({
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

type EntryRow = RowOf<typeof entryTable, 'id' | 'order_key' | 'song_id'>;

/** All songs of a playlist, in its order. */
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

/** A playlist without its songs. */
export interface PlaylistHead {
  readonly id: string;
  /** Version of the playlist's stream. */
  readonly version: number;
  readonly ownerId: string;
  /** The owner's; `deleted` when the account no longer exists. */
  readonly username: string;
  /** Ids of the accounts that may read it. */
  readonly readers: readonly string[];
}

/** A playlist without its songs; undefined when there is none. */
export async function findPlaylistHead(database: Database, id: string): Promise<PlaylistHead | undefined> {
  const [row] = await database.query<PlaylistHead & { readers: string[] }>({
    name: 'head-of-playlist',
    text: `SELECT p.id, p.version, p.owner_id AS "ownerId", ${OWNER} AS username, ${READERS} AS readers
      FROM playlists p LEFT JOIN accounts owner ON owner.id = p.owner_id WHERE p.id = $1 AND p.deleted_at IS NULL`,
    values: [id],
  });
  return row;
}

/** When a playlist was deleted; undefined when it is not deleted or never was there. */
export async function deletionTimeOf(database: Database, id: string): Promise<Date | undefined> {
  const [row] = await database.query<RowOf<typeof playlistTable, 'deleted_at'>>({
    name: 'deletion-of-playlist',
    text: 'SELECT deleted_at FROM playlists WHERE id = $1',
    values: [id],
  });
  return row?.deleted_at ?? undefined;
}

export interface DeletedPlaylist {
  readonly id: string;
  readonly name: string;
  /** ISO 8601, UTC. */
  readonly deletedAt: string;
}

/** An account's own playlists that were deleted after `since`, the last deleted one first. */
export const deletedPlaylistsOf = (
  { first, query }: ListReader,
  account: string,
  { since, after }: { since: Date; after?: Pick<DeletedPlaylist, 'id' | 'deletedAt'> },
): List<DeletedPlaylist> =>
  byKey<DeletedPlaylist>(async (most, last) => {
    const { id, deletedAt } = last ?? after ?? { id: '', deletedAt: 'infinity' };
    const rows = await (last ? query : first)<RowOf<typeof playlistTable, 'id' | 'name'> & { deleted_at: Date }>({
      name: 'deleted-playlists-of',
      text: `SELECT id, name, deleted_at FROM playlists WHERE owner_id = $1 AND deleted_at > $2 AND (deleted_at, id) < ($3, $4)
        ORDER BY deleted_at DESC, id DESC LIMIT $5`,
      values: [account, since, deletedAt, id, most],
    });
    return rows.map(({ id, name, deleted_at }) => ({ id, name, deletedAt: deleted_at.toISOString() }));
  });

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

/** All playlists that an account may read, by id. */
export const allPlaylistsOf = ({ query }: ListReader, account: string): List<PlaylistSummary> =>
  byKey((most, last) =>
    query<PlaylistSummary>({
      name: 'playlists-of',
      text: PLAYLISTS,
      values: [account, last?.id ?? '', most],
    }),
  );
