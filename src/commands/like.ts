import { AppError } from '../errors.ts';
import type { LikeEvent } from '../events/likes.ts';
import { albumNotFound } from './album.ts';
import type { Decider } from './decider.ts';

type State = { readonly status: 'not liked' } | { readonly status: 'liked' };

export interface LikeCommand {
  readonly type: 'LikeAlbum' | 'UnlikeAlbum';
  readonly albumId: string;
  readonly accountId: string;
}

/** What is read of other streams while the command is handled. */
export interface LikeContext {
  readonly albumExists: boolean;
}

export interface LikeTypes {
  readonly category: 'like';
  readonly state: State;
  readonly command: LikeCommand;
  readonly context: LikeContext;
}

function evolve(_: State, event: LikeEvent): State {
  switch (event.type) {
    case 'AlbumLiked':
    case 'SongLiked':
      return { status: 'liked' };
    case 'AlbumUnliked':
    case 'SongUnliked':
      return { status: 'not liked' };
  }
}

function decide(
  _stream: string,
  { type, albumId, accountId }: LikeCommand,
  { status }: State,
  context: LikeContext,
): LikeEvent {
  if (!context.albumExists) throw albumNotFound();
  switch (type) {
    case 'LikeAlbum':
      if (status === 'liked') throw new AppError('rejected', 'ALREADY_LIKED', 'You like this album already.');
      return { type: 'AlbumLiked', albumId, accountId };
    case 'UnlikeAlbum':
      if (status !== 'liked') throw new AppError('rejected', 'NOT_LIKED', 'You do not like this album.');
      return { type: 'AlbumUnliked', albumId, accountId };
  }
}

export const like: Decider<LikeTypes> = {
  category: 'like',
  initial: { status: 'not liked' },
  evolve,
  decide,
};
