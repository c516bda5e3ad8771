import { expect, it } from '@jest/globals';
import type { LikeEvent } from '../events/likes.ts';
import { type Decider, fold } from './decider.ts';
import { like } from './like.ts';

interface Counted {
  readonly category: 'like';
  readonly state: number;
  readonly command: undefined;
  readonly context: undefined;
}

/** `npm run typecheck` fails here as soon as a decider compiles that forgets an event of its category. */
// @ts-expect-error There is no arm for SongUnliked.
const evolve: Decider<Counted>['evolve'] = (count, event) => {
  // eslint-disable-next-line @typescript-eslint/switch-exhaustiveness-check -- this test is about the compiler's own check
  switch (event.type) {
    case 'AlbumLiked':
    case 'SongLiked':
      return count + 1;
    case 'AlbumUnliked':
      return count - 1;
  }
};

it('folds the events of its category', () => {
  const liked: LikeEvent = { type: 'SongLiked', songId: 'song-1', accountId: 'user-1' };
  expect(fold(like, like.initial, liked)).toEqual({ status: 'liked' });
});

it('ignores an event of another category, which only a foreign writer can append to the stream', () => {
  const state = { status: 'liked' } as const;
  expect(fold(like, state, { type: 'AlbumDeleted', albumId: 'album-1', name: 'n', year: 1 })).toBe(state);
  expect(fold(like, state, { type: 'Unknown' } as unknown as LikeEvent)).toBe(state);
});

it('evolves only by the events that it has an arm for', () => {
  expect(evolve(0, { type: 'AlbumLiked', albumId: 'album-1', accountId: 'user-1' })).toBe(1);
});
