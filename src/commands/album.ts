import { notFound } from '../errors.ts';
import type { AlbumCover, AlbumDetails, AlbumEvent } from '../events/catalog.ts';
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

export interface AlbumTypes {
  readonly category: 'album';
  readonly state: State;
  readonly command: AlbumCommand;
  readonly context: undefined;
}

function evolve(state: State, event: AlbumEvent): State {
  switch (event.type) {
    case 'AlbumCreated':
      return present(event);
    case 'AlbumChanged':
      return state.status === 'present' ? present(event) : state;
    case 'AlbumCoverChanged':
      return state;
    case 'AlbumDeleted':
      return { status: 'deleted' };
  }
}

const present = ({ name, year }: AlbumDetails): Present => ({ status: 'present', details: { name, year } });

function decide(albumId: string, command: AlbumCommand, state: State): AlbumEvent {
  if (command.type === 'CreateAlbum') {
    if (state.status !== 'none') throw new Error('The id of the new album is taken.');
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

export const album: Decider<AlbumTypes> = { category: 'album', initial: { status: 'none' }, evolve, decide };
