/** The events of one account's like of one album or song. The stream is `like-<album or song>-<account>`. */
export type LikeEvent = { readonly accountId: string } & (
  | { readonly type: 'AlbumLiked' | 'AlbumUnliked'; readonly albumId: string }
  | { readonly type: 'SongLiked' | 'SongUnliked'; readonly songId: string }
);

/** The stream of one account's like of one album or song. */
export const likeOf = (likedId: string, accountId: string): string => `like-${likedId}-${accountId}`;

/**
 * The id of the album or song that a stream of likes is about: the part before the last `-user-`, because ids from earlier
 * servers may contain dashes. Undefined without such a part.
 */
export const likedIn = (stream: string): string | undefined => /^like-(.+)-user-/.exec(stream)?.[1];
