import { notFound } from '../errors.ts';
import type { AlbumCover, AlbumDetails, AlbumEvent } from '../events/catalog.ts';
import type { AnyEvent } from '../events/events.ts';
import type { Decider } from './decider.ts';

type State = { readonly status: 'none' } | { readonly status: 'present' } | { readonly status: 'deleted' };

export type AlbumCommand =
  | { readonly type: 'CreateAlbum'; readonly details: AlbumDetails }
  | { readonly type: 'ChangeAlbum'; readonly details: AlbumDetails }
  | { readonly type: 'ChangeCover'; readonly cover: AlbumCover }
  | { readonly type: 'DeleteAlbum' };

function evolve(state: State, event: AnyEvent): State {
  switch (event.type) {
    case 'AlbumCreated':
      return { status: 'present' };
    case 'AlbumDeleted':
      return { status: 'deleted' };
    default:
      return state;
  }
}

function decide(command: AlbumCommand, state: State): AlbumEvent {
  switch (command.type) {
    case 'CreateAlbum':
      if (state.status !== 'none') throw new Error('A new album got the id of another one.');
      return { type: 'AlbumCreated', ...command.details };
    case 'ChangeAlbum':
      mustBePresent(state);
      return { type: 'AlbumChanged', ...command.details };
    case 'ChangeCover':
      mustBePresent(state);
      return { type: 'AlbumCoverChanged', ...command.cover };
    case 'DeleteAlbum':
      mustBePresent(state);
      return { type: 'AlbumDeleted' };
  }
}

function mustBePresent(state: State): void {
  if (state.status !== 'present') throw albumNotFound();
}

export const albumNotFound = () => notFound('ALBUM_NOT_FOUND', 'There is no such album.');

export const album: Decider<State, AlbumCommand> = { category: 'album', initial: { status: 'none' }, evolve, decide };
