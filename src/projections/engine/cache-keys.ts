import type { CacheEntry } from '../../cache/cache.ts';
import type { AppliedEvent } from './applied-event.ts';

/** Epochs change with songs as playlists and albums show them, albums as songs show them, and playlists as lists show them. */
const EPOCHS = { songs: 'songs', albums: 'albums', playlists: 'playlists' } as const;

const keys = {
  album: (id: string) => `album/${id}`,
  song: (id: string) => `song/${id}`,
  likes: (likedId: string) => `likes/${likedId}`,
  playlist: (id: string) => `playlist/${id}`,
  playlistsOf: (accountId: string) => `playlists-of/${accountId}`,
  job: (id: string) => `job/${id}`,
};

/** The keys and epochs of the cached answers. */
export const cached = {
  album: (id: string): CacheEntry => ({ key: keys.album(id), epochs: [EPOCHS.songs] }),
  song: (id: string): CacheEntry => ({ key: keys.song(id), epochs: [EPOCHS.albums] }),
  likes: (albumId: string): CacheEntry => ({ key: keys.likes(albumId), epochs: [] }),
  playlist: (id: string): CacheEntry => ({ key: keys.playlist(id), epochs: [EPOCHS.songs] }),
  playlistsOf: (accountId: string): CacheEntry => ({ key: keys.playlistsOf(accountId), epochs: [EPOCHS.playlists] }),
  job: (id: string): CacheEntry => ({ key: keys.job(id), epochs: [] }),
};

/**
 * Keys of the cached answers that an event changes. A new thing has no cached answer of its own yet; the answers of other
 * things that show it are named here.
 */
export function invalidatedKeys({ stream, event }: AppliedEvent): readonly string[] {
  switch (event.type) {
    case 'AlbumCreated':
    case 'PartitionOpened':
    case 'OwnerChanged':
    case 'JobRequested':
      return [];
    case 'AlbumChanged':
    case 'AlbumCoverChanged':
      return [keys.album(stream)];
    case 'AlbumDeleted':
      return [keys.album(stream), keys.likes(stream), EPOCHS.albums];
    case 'AlbumLiked':
    case 'AlbumUnliked':
      return [keys.likes(event.albumId)];
    case 'SongLiked':
    case 'SongUnliked':
      return [keys.likes(event.songId)];
    case 'SongCreated':
      return event.albumId === null ? [] : [keys.album(event.albumId)];
    case 'SongChanged':
    case 'SongDeleted':
      return [keys.song(stream), EPOCHS.songs];
    case 'PlaylistCreated':
      return [keys.playlistsOf(event.ownerId)];
    case 'PlaylistChanged':
    case 'PlaylistDeleted':
    case 'PlaylistUndeleted':
    case 'PlaylistRestored':
      return [keys.playlist(stream), EPOCHS.playlists];
    case 'SongsAddedToPlaylist':
    case 'SongsMovedInPlaylist':
    case 'SongRemovedFromPlaylist':
      return [keys.playlist(stream)];
    case 'CollaboratorAdded':
    case 'CollaboratorRemoved':
      return [keys.playlist(stream), keys.playlistsOf(event.accountId)];
    case 'JobAttemptStarted':
    case 'JobAttemptFailed':
    case 'JobProgressed':
    case 'JobCompleted':
    case 'JobDied':
    case 'JobCancelled':
    case 'JobRetried':
    case 'JobOccurred':
    case 'JobRepeatChanged':
    case 'DeadLetterDropped':
      return [keys.job(stream)];
  }
}
