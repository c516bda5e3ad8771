/** The events of a playlist. Its id is also that of the stream, `playlist-…`. The record's actor says which account did it. */
export type PlaylistEvent = { readonly playlistId: string } & (
  | ({ readonly type: 'PlaylistCreated'; readonly ownerId: string } & Omit<PlaylistDetails, 'linkId'>)
  | ({ readonly type: 'PlaylistChanged' } & PlaylistDetails)
  | { readonly type: 'PlaylistDeleted'; readonly name: string }
  /** Details, entries and collaborators are those from before it was deleted. */
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
      /** Title, performer and year of the song at that time, because the song may be deleted later. */
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

/** How long after its deletion a playlist can be brought back. */
export const UNDELETE_MS = 30 * 86_400_000;

export interface PlaylistDetails {
  readonly name: string;
  readonly description: string | null;
  /** `private`, `public`; any other value is read as `private`. */
  readonly visibility: string;
  /** Id of the one link by which anyone may read the playlist; null without a link. */
  readonly linkId: string | null;
}

/** The place of an entry: entries are sorted by order key and then by id, both as bytes. */
export interface EntryPlace {
  /** Id of the entry, not of the song: the same song can be in a playlist twice. */
  readonly entryId: string;
  readonly orderKey: string;
}

export interface AddedEntry extends EntryPlace {
  readonly songId: string;
  /** Title of the song at that time; the activity log shows it after the song was deleted. */
  readonly title: string;
}
