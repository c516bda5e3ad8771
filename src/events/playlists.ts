/** What can happen to a playlist. The stream is `playlist-…`; who did it is the record's actor. */
export type PlaylistEvent =
  | { readonly type: 'PlaylistCreated'; readonly name: string; readonly ownerId: string }
  | { readonly type: 'PlaylistRenamed'; readonly name: string }
  | { readonly type: 'PlaylistDeleted' }
  | {
      readonly type: 'SongAddedToPlaylist';
      /** Names this place in the playlist: the same song can be in it twice. */
      readonly entryId: string;
      readonly songId: string;
      /** As it was then: the activity log keeps it when the song is gone. */
      readonly title: string;
    }
  | {
      readonly type: 'SongRemovedFromPlaylist';
      /** All places of the song that were taken out. */
      readonly entryIds: readonly string[];
      readonly songId: string;
      /** As it was then. */
      readonly title: string;
    }
  | { readonly type: 'CollaboratorAdded'; readonly collaborationId: string; readonly accountId: string }
  | { readonly type: 'CollaboratorRemoved'; readonly accountId: string };
