import type { Applied, Projection, Rows } from './engine/projection.ts';

function apply({ stream, event }: Applied, rows: Rows): void {
  switch (event.type) {
    case 'AlbumLiked':
      rows.put({ id: stream, liked_id: event.albumId, account_id: event.accountId });
      break;
    case 'SongLiked':
      rows.put({ id: stream, liked_id: event.songId, account_id: event.accountId });
      break;
    case 'AlbumUnliked':
    case 'SongUnliked':
      rows.remove(stream);
      break;
    default:
  }
}

/** Which account likes which album or song. */
export const likes: Projection = {
  table: { name: 'likes', columns: { id: 'text', liked_id: 'text', account_id: 'text' } },
  ddl: `CREATE TABLE likes (
    id text COLLATE "C" PRIMARY KEY,
    liked_id text COLLATE "C" NOT NULL,
    account_id text COLLATE "C" NOT NULL
  );
  CREATE INDEX ON likes (account_id)`,
  apply,
};
