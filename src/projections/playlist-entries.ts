import type { Applied, Projection, Rows } from './engine/projection.ts';

/** The version of what is not in the playlist any more. */
const REMOVED = 0;

function apply({ stream, version, event }: Applied, rows: Rows): void {
  switch (event.type) {
    case 'SongsAddedToPlaylist':
      for (const { entryId, songId, orderKey } of event.entries) {
        rows.put({ id: entryId, playlist_id: stream, order_key: orderKey, version, song_id: songId });
      }
      for (const { entryId, orderKey } of event.rekeyed) rows.patch(entryId, { order_key: orderKey });
      break;
    case 'SongsMovedInPlaylist':
      for (const { entryId, orderKey } of [...event.rekeyed, ...event.entries]) {
        rows.patch(entryId, { order_key: orderKey });
      }
      break;
    case 'SongRemovedFromPlaylist':
      for (const entryId of event.entryIds) rows.patch(entryId, { version: REMOVED });
      break;
    case 'PlaylistRestored':
      for (const { entryId, orderKey } of event.entries) rows.patch(entryId, { order_key: orderKey, version });
      break;
    default:
  }
}

/**
 * Entries of playlists. `version` is that of the event that put the entry into its playlist: it is there as long as this is
 * not below the playlist's `entries_version`, which a restore moves on. So a restore writes the rows that it lists and need
 * not know the others; rows of removed entries stay, because a later restore names them without their songs. The song is
 * no foreign key: whether it still exists is asked at read time.
 */
export const playlistEntries: Projection = {
  table: {
    name: 'playlist_entries',
    columns: { id: 'text', playlist_id: 'text', order_key: 'text', version: 'integer', song_id: 'text' },
  },
  ddl: `CREATE TABLE playlist_entries (
    id text COLLATE "C" PRIMARY KEY,
    playlist_id text COLLATE "C" NOT NULL,
    order_key text COLLATE "C" NOT NULL CHECK (octet_length(order_key) <= 255),
    version integer NOT NULL,
    song_id text COLLATE "C" NOT NULL
  );
  CREATE INDEX ON playlist_entries (playlist_id, order_key, id)`,
  apply,
};

/** SQL of whether the entry `e` is in the playlist `p`. */
export const IN_PLAYLIST = 'e.playlist_id = p.id AND e.version >= p.entries_version';

/** SQL of the order of the entries `e` of one playlist. */
export const PLAYLIST_ORDER = 'e.order_key, e.id';
