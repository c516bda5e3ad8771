/** What can happen between an album and an account. The stream is `like-<album>-<account>`. */
export type LikeEvent =
  | { readonly type: 'AlbumLiked'; readonly albumId: string; readonly accountId: string }
  | { readonly type: 'AlbumUnliked'; readonly albumId: string; readonly accountId: string };

/** The stream of one account's like of one album. */
export const likeOf = (albumId: string, accountId: string): string => `like-${albumId}-${accountId}`;
