/** What can happen between an album or a song and an account. The stream is `like-<album or song>-<account>`. */
export type LikeEvent = { readonly accountId: string } & (
  | { readonly type: 'AlbumLiked' | 'AlbumUnliked'; readonly albumId: string }
  | { readonly type: 'SongLiked' | 'SongUnliked'; readonly songId: string }
);

/** The stream of one account's like of one album or song. */
export const likeOf = (likedId: string, accountId: string): string => `like-${likedId}-${accountId}`;

/**
 * The id of the album or song that a stream of likes is about: what stands before the last `-user-`, because ids of
 * earlier servers may hold dashes. Undefined when there is no such part.
 */
export const likedIn = (stream: string): string | undefined => /^like-(.+)-user-/.exec(stream)?.[1];
