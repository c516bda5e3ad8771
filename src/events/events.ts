import type { AlbumEvent, SongEvent } from './catalog.ts';
import type { OwnerChanged, PartitionOpened } from './genesis.ts';
import type { JobEvent } from './jobs.ts';
import type { LikeEvent } from './likes.ts';
import type { PlaylistEvent } from './playlists.ts';

/** The events of each category of streams. */
export interface CategoryEvents {
  readonly album: AlbumEvent;
  readonly song: SongEvent;
  readonly playlist: PlaylistEvent;
  readonly like: LikeEvent;
  readonly job: JobEvent;
}

/** The part of a stream id before the first dash. */
export type Category = keyof CategoryEvents;

/** Every event there is. `type` is the short name; on the log it is `openmusic.<type>`. */
export type AnyEvent = CategoryEvents[Category] | PartitionOpened | OwnerChanged;

/** The category of each event type. Leaving out an event type of a category does not compile. */
const CATEGORIES: { readonly [Name in Category as CategoryEvents[Name]['type']]: Name } = {
  AlbumCreated: 'album',
  AlbumChanged: 'album',
  AlbumCoverChanged: 'album',
  AlbumDeleted: 'album',
  SongCreated: 'song',
  SongChanged: 'song',
  SongDeleted: 'song',
  PlaylistCreated: 'playlist',
  PlaylistChanged: 'playlist',
  PlaylistDeleted: 'playlist',
  PlaylistUndeleted: 'playlist',
  SongsAddedToPlaylist: 'playlist',
  SongsMovedInPlaylist: 'playlist',
  SongRemovedFromPlaylist: 'playlist',
  PlaylistRestored: 'playlist',
  CollaboratorAdded: 'playlist',
  CollaboratorRemoved: 'playlist',
  AlbumLiked: 'like',
  AlbumUnliked: 'like',
  SongLiked: 'like',
  SongUnliked: 'like',
  JobRequested: 'job',
  JobAttemptStarted: 'job',
  JobAttemptFailed: 'job',
  JobProgressed: 'job',
  JobCompleted: 'job',
  JobDied: 'job',
  JobCancelled: 'job',
  JobRetried: 'job',
  JobOccurred: 'job',
  JobRepeatChanged: 'job',
  DeadLetterDropped: 'job',
};
const categoryByType: Readonly<Partial<Record<string, Category>>> = CATEGORIES;

/**
 * Whether the event is one of the category. The rule accepts a record by its headers alone, so a foreign writer can append an
 * event to a stream of another category.
 */
export const isEventOf = <Name extends Category>(category: Name, event: AnyEvent): event is CategoryEvents[Name] =>
  categoryByType[event.type] === category;

/** The value of a record in `<namespace>.voids`: the entry at that position is a loser for every reader. These records are not judged. */
export interface PositionVoided {
  readonly type: 'PositionVoided';
  /** The incarnation of the log that it is about, because recreated topics begin at offset 0 again. */
  readonly incarnation: string;
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  /** The last void offset, because an unreadable batch or a gap covers several. */
  readonly lastOffset: number;
  readonly reason: string;
  /** ISO 8601. */
  readonly at: string;
}
