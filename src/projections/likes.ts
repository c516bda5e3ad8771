import type { LikeEvent } from '../events/likes.ts';
import { column, table } from './engine/table.ts';

/** Which account likes which album or song. The key is the stream of the like. */
export const likes = table(
  'likes',
  { id: column.key, liked_id: column.id, account_id: column.id },
  { indexes: ['(account_id)'] },
).projection<LikeEvent>({
  AlbumLiked: ({ albumId, accountId }, rows, { stream }) =>
    rows.put({ id: stream, liked_id: albumId, account_id: accountId }),
  SongLiked: ({ songId, accountId }, rows, { stream }) =>
    rows.put({ id: stream, liked_id: songId, account_id: accountId }),
  AlbumUnliked: (_, rows, { stream }) => rows.remove(stream),
  SongUnliked: (_, rows, { stream }) => rows.remove(stream),
});
