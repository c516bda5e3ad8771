import type { Database } from '../postgres/pool.ts';
import type { Applied, Projection, Rows } from './projection.ts';

export interface Activity {
  /** Of the account that did it; `deleted` when there is no such account any more. */
  readonly username: string;
  /** Of the song, as it was then. */
  readonly title: string;
  readonly action: 'add' | 'delete';
  /** ISO 8601, UTC. */
  readonly time: string;
}

function apply({ stream, version, time, actor, event }: Applied, rows: Rows): void {
  const activity = { id: `${stream}/${version}`, playlist_id: stream, version, actor, time };
  switch (event.type) {
    case 'SongAddedToPlaylist':
      rows.put({ ...activity, title: event.title, action: 'add' });
      break;
    case 'SongRemovedFromPlaylist':
      rows.put({ ...activity, title: event.title, action: 'delete' });
      break;
    default:
  }
}

/** What was done to the songs of playlists: nothing is ever taken back here. */
export const playlistActivities: Projection = {
  table: {
    name: 'playlist_activities',
    columns: {
      id: 'text',
      playlist_id: 'text',
      version: 'integer',
      actor: 'text',
      title: 'text',
      action: 'text',
      time: 'timestamptz',
    },
  },
  ddl: `CREATE TABLE playlist_activities (
    id text COLLATE "C" PRIMARY KEY,
    playlist_id text COLLATE "C" NOT NULL,
    version integer NOT NULL,
    actor text COLLATE "C" NOT NULL,
    title text NOT NULL,
    action text NOT NULL,
    time timestamptz NOT NULL
  );
  CREATE INDEX ON playlist_activities (playlist_id, version)`,
  apply,
};

/** The activities of a playlist, oldest first: by version, whatever the clocks said. */
export async function activitiesOf(database: Database, playlist: string): Promise<Activity[]> {
  const rows = await database.query<Omit<Activity, 'time'> & { time: Date }>({
    name: 'activities-of',
    text: `SELECT coalesce(a.username, 'deleted') AS username, p.title, p.action, p.time
      FROM playlist_activities p LEFT JOIN accounts a ON a.id = p.actor WHERE p.playlist_id = $1 ORDER BY p.version`,
    values: [playlist],
  });
  return rows.map(({ time, ...rest }) => ({ ...rest, time: time.toISOString() }));
}
