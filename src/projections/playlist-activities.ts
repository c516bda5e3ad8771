import type { ListReader } from '../postgres/list-reader.ts';
import { byKey, type List } from './engine/lists.ts';
import type { Applied, Projection, Rows } from './engine/projection.ts';

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
  const put = (place: number, title: string, action: Activity['action']) =>
    rows.put({ id: `${stream}/${version}/${place}`, playlist_id: stream, version, place, actor, title, action, time });
  switch (event.type) {
    case 'SongsAddedToPlaylist':
      for (const [place, { title }] of event.entries.entries()) put(place, title, 'add');
      break;
    case 'SongRemovedFromPlaylist':
      put(0, event.title, 'delete');
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
      place: 'integer',
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
    -- Among the songs of one event, from 0.
    place integer NOT NULL,
    actor text COLLATE "C" NOT NULL,
    title text NOT NULL,
    action text NOT NULL,
    time timestamptz NOT NULL
  );
  CREATE INDEX ON playlist_activities (playlist_id, version, place)`,
  apply,
};

interface ActivityRow extends Record<string, unknown>, Omit<Activity, 'time'> {
  readonly version: number;
  readonly place: number;
  readonly time: Date;
}

/** The activities of a playlist, oldest first: by version, whatever the clocks said. */
export function activitiesOf({ first, query }: ListReader, playlist: string): List<Activity> {
  const rows = byKey<ActivityRow>((most, last) =>
    (last ? query : first)<ActivityRow>({
      name: 'activities-of',
      text: `SELECT p.version, p.place, coalesce(a.username, 'deleted') AS username, p.title, p.action, p.time
        FROM playlist_activities p LEFT JOIN accounts a ON a.id = p.actor
        WHERE p.playlist_id = $1 AND (p.version, p.place) > ($2, $3) ORDER BY p.version, p.place LIMIT $4`,
      values: [playlist, last?.version ?? 0, last?.place ?? 0, most],
    }),
  );
  return {
    async next(most) {
      return (await rows.next(most))?.map(({ username, title, action, time }) => ({
        username,
        title,
        action,
        time: time.toISOString(),
      }));
    },
  };
}
