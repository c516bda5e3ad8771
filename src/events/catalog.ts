/** What can happen to an album. The stream is `album-…`, and its id is the album's. */
export type AlbumEvent = { readonly albumId: string } & (
  | ({ readonly type: 'AlbumCreated' } & AlbumDetails)
  | ({ readonly type: 'AlbumChanged' } & AlbumDetails)
  | ({ readonly type: 'AlbumCoverChanged' } & AlbumCover)
  /** The details are the last ones. */
  | ({ readonly type: 'AlbumDeleted' } & AlbumDetails)
);

/** The image is a file of the files provider; the event names it. */
export interface AlbumCover {
  /** Name of the file, ours and never used before. */
  readonly file: string;
  /** Media type, found by the image's bytes. */
  readonly mediaType: string;
  /** Bytes. */
  readonly size: number;
}

export interface AlbumDetails {
  readonly name: string;
  readonly year: number;
}

/** What can happen to a song. The stream is `song-…`, and its id is the song's. */
export type SongEvent = { readonly songId: string } & (
  | ({ readonly type: 'SongCreated' } & SongDetails)
  | ({ readonly type: 'SongChanged' } & SongDetails)
  /** The details are the last ones. */
  | ({ readonly type: 'SongDeleted' } & Pick<SongDetails, 'title' | 'performer' | 'year'>)
);

export interface SongDetails {
  readonly title: string;
  readonly year: number;
  readonly genre: string;
  readonly performer: string;
  /** Seconds. */
  readonly duration: number | null;
  readonly albumId: string | null;
}
