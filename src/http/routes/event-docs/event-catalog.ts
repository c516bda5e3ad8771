import { readFileSync } from 'node:fs';
import { releasedSchemas, type StoredSchema, typeOf } from '../../../events/codec.ts';
import type { AnyEvent, PositionVoided } from '../../../events/events.ts';

/** The groups of events, in the order of explanation. Those of `genesis` are in every event topic. */
export const SECTIONS = [
  { name: 'albums', title: 'Albums', topic: 'catalog' },
  { name: 'songs', title: 'Songs', topic: 'catalog' },
  { name: 'playlists', title: 'Playlists', topic: 'playlists' },
  { name: 'likes', title: 'Likes', topic: 'likes' },
  { name: 'jobs', title: 'Jobs', topic: 'jobs' },
  { name: 'genesis', title: 'Genesis', topic: undefined },
  { name: 'voids', title: 'Voids', topic: 'voids' },
] as const;

export type EventSection = (typeof SECTIONS)[number];

interface EventUse {
  readonly section: EventSection['name'];
  /** What appends it. */
  readonly writer: string;
  /** The tables of the read models that it changes, and other consumers. */
  readonly readers: readonly string[];
}

type EventType = AnyEvent['type'] | PositionVoided['type'];

const use = (section: EventSection['name'], writer: string, ...readers: string[]): EventUse => ({
  section,
  writer,
  readers,
});

const ENTRIES = ['playlists', 'playlist_entries'];
/** The readers of every event of a job. */
const QUEUES = ['job queues of exporter, worker and scheduler'];
const ATTEMPT = 'exporter, worker';
const RESERVED = 'nothing in this version; readers must know it';
const ALL_READERS = 'every reader of the log';

/** Who writes and reads each event. An event type that is missing does not compile. */
const USES: Readonly<Record<EventType, EventUse>> = {
  AlbumCreated: use('albums', 'POST /albums, jobs of type import-catalog', 'albums'),
  AlbumChanged: use('albums', 'PUT /albums/{id}, jobs of type import-catalog', 'albums'),
  AlbumCoverChanged: use('albums', 'POST /albums/{id}/covers', 'albums'),
  AlbumDeleted: use('albums', 'DELETE /albums/{id}', 'albums'),
  SongCreated: use('songs', 'POST /songs, jobs of type import-catalog', 'songs'),
  SongChanged: use('songs', 'PUT /songs/{id}, jobs of type import-catalog', 'songs'),
  SongDeleted: use('songs', 'DELETE /songs/{id}', 'songs'),
  PlaylistCreated: use('playlists', 'POST /playlists', 'playlists'),
  PlaylistChanged: use('playlists', 'PATCH /playlists/{id}', 'playlists'),
  PlaylistDeleted: use('playlists', 'DELETE /playlists/{id}', 'playlists'),
  PlaylistUndeleted: use('playlists', 'POST /playlists/{id}/undelete', 'playlists', 'playlist_activities'),
  SongsAddedToPlaylist: use('playlists', 'POST /playlists/{id}/songs', ...ENTRIES, 'playlist_activities'),
  SongsMovedInPlaylist: use('playlists', RESERVED, ...ENTRIES),
  SongRemovedFromPlaylist: use('playlists', 'DELETE /playlists/{id}/songs', ...ENTRIES, 'playlist_activities'),
  PlaylistRestored: use('playlists', 'POST /playlists/{id}/restore', ...ENTRIES, 'playlist_activities'),
  CollaboratorAdded: use('playlists', 'POST /collaborations', 'playlists', 'collaborations'),
  CollaboratorRemoved: use('playlists', 'DELETE /collaborations', 'playlists', 'collaborations'),
  AlbumLiked: use('likes', 'POST /albums/{id}/likes', 'likes', 'like_counts'),
  AlbumUnliked: use('likes', 'DELETE /albums/{id}/likes', 'likes', 'like_counts'),
  SongLiked: use('likes', RESERVED, 'likes', 'like_counts'),
  SongUnliked: use('likes', RESERVED, 'likes', 'like_counts'),
  JobRequested: use('jobs', 'POST /jobs and all requests that start a job, scheduler', 'jobs', ...QUEUES),
  JobAttemptStarted: use('jobs', ATTEMPT, 'jobs', 'job_attempts', ...QUEUES),
  JobAttemptFailed: use('jobs', ATTEMPT, 'jobs', 'job_attempts', ...QUEUES),
  JobProgressed: use('jobs', ATTEMPT, 'jobs', ...QUEUES),
  JobCompleted: use('jobs', ATTEMPT, 'jobs', 'job_attempts', ...QUEUES),
  JobDied: use('jobs', ATTEMPT, 'jobs', 'job_attempts', ...QUEUES),
  JobCancelled: use('jobs', 'DELETE /jobs/{id}', 'jobs', 'job_attempts', ...QUEUES),
  JobRetried: use('jobs', 'POST /jobs/{id}/retry, POST /admin/dead-letters/{id}/redrive', 'jobs', ...QUEUES),
  JobOccurred: use('jobs', 'scheduler', 'jobs', ...QUEUES),
  JobRepeatChanged: use('jobs', 'PATCH /jobs/{id}', 'jobs', ...QUEUES),
  DeadLetterDropped: use('jobs', 'DELETE /admin/dead-letters/{id}', 'jobs', ...QUEUES),
  PartitionOpened: use('genesis', 'openmusic log init', ALL_READERS),
  OwnerChanged: use('genesis', 'openmusic log adopt', ALL_READERS),
  PositionVoided: use('voids', 'openmusic log void', ALL_READERS),
};

/** An event in its newest version. */
export interface CataloguedEvent extends EventUse {
  readonly type: string;
  readonly schema: StoredSchema;
  /** A payload of a real log, its times in ISO 8601. */
  readonly example: unknown;
}

interface Examples {
  readonly schemas: readonly { readonly id: number; readonly payload: unknown }[];
}

/** All events, in the order of the table above. */
export function eventCatalog(): CataloguedEvent[] {
  const file = new URL('../../../../schemas/golden.json', import.meta.url);
  const { schemas: examples } = JSON.parse(readFileSync(file, 'utf8')) as Examples;
  const byVersion = releasedSchemas.toSorted((one, other) => one.version - other.version);
  const newest = new Map(byVersion.map((schema) => [typeOf(schema.subject), schema]));
  return Object.entries(USES).flatMap(([type, { section, writer, readers }]) => {
    const schema = newest.get(type);
    if (!schema) return [];
    const example = examples.find(({ id }) => id === schema.id)?.payload;
    return [{ type, section, writer, readers, schema, example }];
  });
}
