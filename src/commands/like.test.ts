import { describe, expect, it } from '@jest/globals';
import { given } from '../../test/support/decider.ts';
import type { LikeEvent } from '../events/likes.ts';
import { like } from './like.ts';

const names = { albumId: 'album-1', accountId: 'user-1' };
const liked: LikeEvent = { type: 'AlbumLiked', ...names };
const unliked: LikeEvent = { type: 'AlbumUnliked', ...names };

describe('a like', () => {
  it.each<[string, readonly LikeEvent[], 'LikeAlbum' | 'UnlikeAlbum', LikeEvent | string]>([
    ['is given', [], 'LikeAlbum', liked],
    ['cannot be given twice', [liked], 'LikeAlbum', 'ALREADY_LIKED'],
    ['is taken back', [liked], 'UnlikeAlbum', unliked],
    ['cannot be taken back twice', [liked, unliked], 'UnlikeAlbum', 'NOT_LIKED'],
    ['cannot be taken back when it was not given', [], 'UnlikeAlbum', 'NOT_LIKED'],
    ['is given again', [liked, unliked], 'LikeAlbum', liked],
  ])('%s', (_, events, type, outcome) => {
    expect(given(like, ...events).when({ type, ...names }, { albumExists: true })).toEqual(outcome);
  });

  it.each(['LikeAlbum', 'UnlikeAlbum'] as const)('rejects an album that does not exist: %s', (type) => {
    expect(given(like, liked).when({ type, ...names }, { albumExists: false })).toBe('ALBUM_NOT_FOUND');
  });

  it.each<[readonly LikeEvent['type'][], string]>([
    [['SongLiked'], 'liked'],
    [['SongLiked', 'SongUnliked'], 'not liked'],
    [['SongLiked', 'SongUnliked', 'SongLiked'], 'liked'],
  ])('of a song is folded from its events: %j', (types, status) => {
    const events = types.map((type) => ({ type, songId: 'song-1', accountId: 'user-1' }) as LikeEvent);
    expect(given(like, ...events).state).toEqual({ status });
  });

  it('ignores events of other categories', () => {
    expect(given(like, liked, { type: 'AlbumDeleted', albumId: 'album-1', name: 'n', year: 1 }).state).toEqual(
      given(like, liked).state,
    );
  });
});
