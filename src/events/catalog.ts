/** The events of an album. Its id is also that of the stream, `album-…`. */
export type AlbumEvent = { readonly albumId: string } & (
  | ({ readonly type: 'AlbumCreated' } & AlbumDetails)
  | ({ readonly type: 'AlbumChanged' } & AlbumDetails)
  | ({ readonly type: 'AlbumCoverChanged' } & AlbumCover)
  /** The details are those from before it was deleted. */
  | ({ readonly type: 'AlbumDeleted' } & AlbumDetails)
);

/** A cover image, which the files provider stores. */
export interface AlbumCover {
  /** Name of the file at the provider; names are generated and never used again. */
  readonly file: string;
  /** Media type, detected from the bytes of the image. */
  readonly mediaType: string;
  /** Bytes. */
  readonly size: number;
}

export interface AlbumDetails {
  readonly name: string;
  readonly year: number;
}

/** The events of a song. Its id is also that of the stream, `song-…`. */
export type SongEvent = { readonly songId: string } & (
  | ({ readonly type: 'SongCreated' } & SongDetails)
  | ({ readonly type: 'SongChanged' } & SongDetails)
  /** The details are those from before it was deleted. */
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
