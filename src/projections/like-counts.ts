import type { Database } from '../postgres/pool.ts';
import type { Applied, Projection, Rows } from './engine/projection.ts';

function apply({ event }: Applied, rows: Rows): void {
  switch (event.type) {
    case 'AlbumLiked':
      rows.add(event.albumId, { likes: 1 });
      break;
    case 'AlbumUnliked':
      rows.add(event.albumId, { likes: -1 });
      break;
    case 'SongLiked':
      rows.add(event.songId, { likes: 1 });
      break;
    case 'SongUnliked':
      rows.add(event.songId, { likes: -1 });
      break;
    default:
  }
}

/** How many accounts like an album or a song. All likes of one are in one partition, so only one projector counts them. */
export const likeCounts: Projection = {
  table: { name: 'like_counts', columns: { liked_id: 'text', likes: 'integer' } },
  ddl: `CREATE TABLE like_counts (liked_id text COLLATE "C" PRIMARY KEY, likes integer NOT NULL) WITH (fillfactor = 70)`,
  apply,
};

/** Undefined when there is no such album. */
export async function likesOf(database: Database, albumId: string): Promise<number | undefined> {
  const [row] = await database.query<{ likes: number }>({
    name: 'likes-of',
    text: `SELECT coalesce(l.likes, 0) AS likes FROM albums a LEFT JOIN like_counts l ON l.liked_id = a.id WHERE a.id = $1`,
    values: [albumId],
  });
  return row?.likes;
}
