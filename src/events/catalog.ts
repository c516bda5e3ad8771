/** What can happen to an album. The stream is `album-…`; its id is the record's key. */
export type AlbumEvent =
  | ({ readonly type: 'AlbumCreated' } & AlbumDetails)
  | ({ readonly type: 'AlbumChanged' } & AlbumDetails)
  | ({ readonly type: 'AlbumCoverChanged' } & AlbumCover)
  | { readonly type: 'AlbumDeleted' };

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

/** What can happen to a song. The stream is `song-…`. */
export type SongEvent =
  | ({ readonly type: 'SongCreated' } & SongDetails)
  | ({ readonly type: 'SongChanged' } & SongDetails)
  | { readonly type: 'SongDeleted' };

export interface SongDetails {
  readonly title: string;
  readonly year: number;
  readonly genre: string;
  readonly performer: string;
  /** Seconds. */
  readonly duration: number | null;
  readonly albumId: string | null;
}
