import type { PlaylistEvent } from '../events/playlists.ts';
import { column, ignored, table } from './engine/table.ts';

const keyOf = (playlist: string, account: string) => `${playlist}/${account}`;

/**
 * Which accounts may read and change a playlist beside its owner. The rows of a deleted playlist stay, because it can come
 * back; every query joins the playlist, so they are not found without it.
 */
export const collaborations = table(
  'collaborations',
  { id: column.key, playlist_id: column.id, account_id: column.id },
  { indexes: ['(account_id)', '(playlist_id, account_id)'] },
).projection<PlaylistEvent>({
  CollaboratorAdded: ({ accountId }, rows, { stream }) =>
    rows.put({ id: keyOf(stream, accountId), playlist_id: stream, account_id: accountId }),
  CollaboratorRemoved: ({ accountId }, rows, { stream }) => rows.remove(keyOf(stream, accountId)),
  PlaylistCreated: ignored,
  PlaylistChanged: ignored,
  PlaylistDeleted: ignored,
  PlaylistUndeleted: ignored,
  PlaylistRestored: ignored,
  SongsAddedToPlaylist: ignored,
  SongsMovedInPlaylist: ignored,
  SongRemovedFromPlaylist: ignored,
});
