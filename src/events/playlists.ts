/** What can happen to a playlist. The stream is `playlist-…`, and its id is the playlist's; who did it is the record's actor. */
export type PlaylistEvent = { readonly playlistId: string } & (
  | ({ readonly type: 'PlaylistCreated'; readonly ownerId: string } & Omit<PlaylistDetails, 'linkId'>)
  | ({ readonly type: 'PlaylistChanged' } & PlaylistDetails)
  | { readonly type: 'PlaylistDeleted'; readonly name: string }
  /** Details, entries and collaborators are those that it was deleted with. */
  | { readonly type: 'PlaylistUndeleted'; readonly name: string }
  | {
      readonly type: 'SongsAddedToPlaylist';
      /** In playlist order. */
      readonly entries: readonly AddedEntry[];
      readonly rekeyed: readonly EntryPlace[];
    }
  | {
      readonly type: 'SongsMovedInPlaylist';
      /** In playlist order. */
      readonly entries: readonly (EntryPlace & { readonly songId: string })[];
      readonly rekeyed: readonly EntryPlace[];
    }
  | {
      readonly type: 'SongRemovedFromPlaylist';
      readonly songId: string;
      readonly entryIds: readonly string[];
      /** Title, performer and year are those of the song at that time: it may be deleted later. */
      readonly title: string;
      readonly performer: string;
      readonly year: number;
    }
  | {
      readonly type: 'PlaylistRestored';
      readonly restoredVersion: number;
      readonly name: string;
      readonly description: string | null;
      /** All entries from now on, in playlist order. Each was added by an earlier event of the stream. */
      readonly entries: readonly EntryPlace[];
    }
  | { readonly type: 'CollaboratorAdded'; readonly collaborationId: string; readonly accountId: string }
  | { readonly type: 'CollaboratorRemoved'; readonly accountId: string }
);

export interface PlaylistDetails {
  readonly name: string;
  readonly description: string | null;
  /** `private`, `public`; any other value is read as `private`. */
  readonly visibility: string;
  /** Names the one link by which anybody may read it; null: there is none. */
  readonly linkId: string | null;
}

/** Where an entry stands: entries are sorted by order key and then by id, both as bytes. */
export interface EntryPlace {
  /** Names the entry: the same song can be in a playlist twice. */
  readonly entryId: string;
  readonly orderKey: string;
}

export interface AddedEntry extends EntryPlace {
  readonly songId: string;
  /** As it was then: the activity log keeps it when the song is gone. */
  readonly title: string;
}
