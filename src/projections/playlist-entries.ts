import type { EntryPlace, PlaylistEvent } from '../events/playlists.ts';
import { type ChangesOf, checked, column, ignored, table } from './engine/table.ts';

/** The version of an entry that is no longer in the playlist. */
const REMOVED = 0;

/**
 * Entries of playlists. `version` is that of the event that put the entry into its playlist: the entry is in the playlist as
 * long as this is not below the playlist's `entries_version`, which a restore moves on. So a restore writes only the rows that
 * it lists. Rows of removed entries stay, because a later restore names them without their songs. The song is no foreign key:
 * queries join it, and so find whether it still exists.
 */
export const entryTable = table(
  'playlist_entries',
  {
    id: column.key,
    playlist_id: column.id,
    order_key: checked(column.id, 'octet_length(order_key) <= 255'),
    version: column.integer,
    song_id: column.id,
  },
  { indexes: ['(playlist_id, order_key, id)'] },
);

export const playlistEntries = entryTable.projection<PlaylistEvent>({
  SongsAddedToPlaylist(event, rows, { stream, version }) {
    for (const { entryId, songId, orderKey } of event.entries) {
      rows.put({ id: entryId, playlist_id: stream, order_key: orderKey, version, song_id: songId });
    }
    move(event.rekeyed, rows);
  },
  SongsMovedInPlaylist(event, rows) {
    move(event.rekeyed, rows);
    move(event.entries, rows);
  },
  SongRemovedFromPlaylist(event, rows) {
    for (const entryId of event.entryIds) rows.patch(entryId, { version: REMOVED });
  },
  PlaylistRestored(event, rows, { version }) {
    for (const { entryId, orderKey } of event.entries) rows.patch(entryId, { order_key: orderKey, version });
  },
  PlaylistCreated: ignored,
  PlaylistChanged: ignored,
  PlaylistDeleted: ignored,
  PlaylistUndeleted: ignored,
  CollaboratorAdded: ignored,
  CollaboratorRemoved: ignored,
});

function move(places: readonly EntryPlace[], rows: ChangesOf<typeof entryTable>): void {
  for (const { entryId, orderKey } of places) rows.patch(entryId, { order_key: orderKey });
}

/** SQL of whether the entry `e` is in the playlist `p`. */
export const IN_PLAYLIST = 'e.playlist_id = p.id AND e.version >= p.entries_version';

/** SQL of the order of the entries `e` of one playlist. */
export const PLAYLIST_ORDER = 'e.order_key, e.id';
