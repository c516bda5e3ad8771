import type { PlaylistEvent } from '../events/playlists.ts';
import type { ListReader } from '../postgres/list-reader.ts';
import { byKey, type List } from './engine/lists.ts';
import type { AppliedEvent } from './engine/applied-event.ts';
import { column, ignored, type RowOf, table } from './engine/table.ts';

export interface Activity {
  /** Name of the account that did it; `deleted` when the account no longer exists. */
  readonly username: string;
  /** Title of the song at that time; the playlist's name where the whole playlist came back. */
  readonly title: string;
  readonly action: 'add' | 'delete' | 'restore' | 'undelete';
  /** ISO 8601, UTC. */
  readonly time: string;
}

/** What accounts did to the songs of playlists, and which playlists they brought back. No event removes an activity. */
const activities = table(
  'playlist_activities',
  {
    id: column.key,
    playlist_id: column.id,
    version: column.integer,
    /** Index among the songs of one event, from 0. */
    place: column.integer,
    actor: column.id,
    title: column.text,
    action: column.text,
    time: column.timestamptz,
  },
  { indexes: ['(playlist_id, version, place)'] },
);

export const playlistActivities = activities.projection<PlaylistEvent>({
  SongsAddedToPlaylist(event, rows, record) {
    for (const [place, { title }] of event.entries.entries()) rows.put(rowOf(record, place, title, 'add'));
  },
  SongRemovedFromPlaylist: ({ title }, rows, record) => rows.put(rowOf(record, 0, title, 'delete')),
  PlaylistRestored: ({ name }, rows, record) => rows.put(rowOf(record, 0, name, 'restore')),
  PlaylistUndeleted: ({ name }, rows, record) => rows.put(rowOf(record, 0, name, 'undelete')),
  PlaylistCreated: ignored,
  PlaylistChanged: ignored,
  PlaylistDeleted: ignored,
  SongsMovedInPlaylist: ignored,
  CollaboratorAdded: ignored,
  CollaboratorRemoved: ignored,
});

function rowOf(record: Omit<AppliedEvent, 'event'>, place: number, title: string, action: Activity['action']) {
  const { stream, version, time, actor } = record;
  return { id: `${stream}/${version}/${place}`, playlist_id: stream, version, place, actor, title, action, time };
}

type ActivityRow = RowOf<typeof activities, 'version' | 'place' | 'title' | 'time'> &
  Pick<Activity, 'username' | 'action'>;

/** The activities of a playlist, oldest first. They are ordered by version, because clocks of processes differ. */
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
