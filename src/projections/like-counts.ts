import type { LikeEvent } from '../events/likes.ts';
import type { Database } from '../postgres/pool.ts';
import { column, table } from './engine/table.ts';

/** How many accounts like an album or a song. All likes of one are in one partition, so only one projector counts them. */
export const likeCounts = table(
  'like_counts',
  { liked_id: column.key, likes: column.integer },
  { storage: 'fillfactor = 70' },
).projection<LikeEvent>({
  AlbumLiked: ({ albumId }, rows) => rows.add(albumId, { likes: 1 }),
  AlbumUnliked: ({ albumId }, rows) => rows.add(albumId, { likes: -1 }),
  SongLiked: ({ songId }, rows) => rows.add(songId, { likes: 1 }),
  SongUnliked: ({ songId }, rows) => rows.add(songId, { likes: -1 }),
});

/** Returns undefined when there is no such album. */
export async function likesOf(database: Database, albumId: string): Promise<number | undefined> {
  const [row] = await database.query<{ likes: number }>({
    name: 'likes-of',
    text: `SELECT coalesce(l.likes, 0) AS likes FROM albums a LEFT JOIN like_counts l ON l.liked_id = a.id WHERE a.id = $1`,
    values: [albumId],
  });
  return row?.likes;
}
