import { notFound } from '../errors.ts';
import type { AlbumCover, AlbumDetails, AlbumEvent } from '../events/catalog.ts';
import type { AnyEvent } from '../events/events.ts';
import type { Decider } from './decider.ts';

interface Present {
  readonly status: 'present';
  readonly details: AlbumDetails;
}

type State = { readonly status: 'none' } | Present | { readonly status: 'deleted' };

export type AlbumCommand =
  | { readonly type: 'CreateAlbum'; readonly details: AlbumDetails }
  | { readonly type: 'ChangeAlbum'; readonly details: AlbumDetails }
  | { readonly type: 'ChangeCover'; readonly cover: AlbumCover }
  | { readonly type: 'DeleteAlbum' };

function evolve(state: State, event: AnyEvent): State {
  switch (event.type) {
    case 'AlbumCreated':
      return present(event);
    case 'AlbumChanged':
      return state.status === 'present' ? present(event) : state;
    case 'AlbumDeleted':
      return { status: 'deleted' };
    default:
      return state;
  }
}

const present = ({ name, year }: AlbumDetails): Present => ({ status: 'present', details: { name, year } });

function decide(albumId: string, command: AlbumCommand, state: State): AlbumEvent {
  if (command.type === 'CreateAlbum') {
    if (state.status !== 'none') throw new Error('A new album got the id of another one.');
    return { type: 'AlbumCreated', albumId, ...command.details };
  }
  if (state.status !== 'present') throw albumNotFound();
  switch (command.type) {
    case 'ChangeAlbum':
      return { type: 'AlbumChanged', albumId, ...command.details };
    case 'ChangeCover':
      return { type: 'AlbumCoverChanged', albumId, ...command.cover };
    case 'DeleteAlbum':
      return { type: 'AlbumDeleted', albumId, ...state.details };
  }
}

export const albumNotFound = () => notFound('ALBUM_NOT_FOUND', 'There is no such album.');

export const album: Decider<State, AlbumCommand> = { category: 'album', initial: { status: 'none' }, evolve, decide };
