import type { Applied, Projection, Rows } from './projection.ts';

function apply({ stream, version, event }: Applied, rows: Rows): void {
  switch (event.type) {
    case 'SongAddedToPlaylist':
      rows.put({ id: event.entryId, playlist_id: stream, version, song_id: event.songId });
      break;
    case 'SongRemovedFromPlaylist':
      for (const entryId of event.entryIds) rows.remove(entryId);
      break;
    default:
  }
}

/**
 * The places of songs in playlists, in the order of the versions that made them. Those of a deleted playlist stay: nobody
 * finds them without it. The song is no foreign key: whether it still exists is asked at read time.
 */
export const playlistEntries: Projection = {
  table: {
    name: 'playlist_entries',
    columns: { id: 'text', playlist_id: 'text', version: 'integer', song_id: 'text' },
  },
  ddl: `CREATE TABLE playlist_entries (
    id text COLLATE "C" PRIMARY KEY,
    playlist_id text COLLATE "C" NOT NULL,
    version integer NOT NULL,
    song_id text COLLATE "C" NOT NULL
  );
  CREATE INDEX ON playlist_entries (playlist_id, version)`,
  apply,
};
