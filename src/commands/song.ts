import { notFound } from '../errors.ts';
import type { SongDetails, SongEvent } from '../events/catalog.ts';
import type { AnyEvent } from '../events/events.ts';
import { albumNotFound } from './album.ts';
import type { Decider } from './decider.ts';

type State = { readonly status: 'none' } | { readonly status: 'present' } | { readonly status: 'deleted' };

export type SongCommand =
  | { readonly type: 'CreateSong'; readonly details: SongDetails }
  | { readonly type: 'ChangeSong'; readonly details: SongDetails }
  | { readonly type: 'DeleteSong' };

/** What is read of other streams while the command is handled. */
export interface SongContext {
  /** Whether the album that the details name exists; true when they name none. */
  readonly albumExists: boolean;
}

function evolve(state: State, event: AnyEvent): State {
  switch (event.type) {
    case 'SongCreated':
      return { status: 'present' };
    case 'SongDeleted':
      return { status: 'deleted' };
    default:
      return state;
  }
}

function decide(command: SongCommand, state: State, context: SongContext): SongEvent {
  switch (command.type) {
    case 'CreateSong':
      if (state.status !== 'none') throw new Error('A new song got the id of another one.');
      if (!context.albumExists) throw albumNotFound();
      return { type: 'SongCreated', ...command.details };
    case 'ChangeSong':
      mustBePresent(state);
      if (!context.albumExists) throw albumNotFound();
      return { type: 'SongChanged', ...command.details };
    case 'DeleteSong':
      mustBePresent(state);
      return { type: 'SongDeleted' };
  }
}

function mustBePresent(state: State): void {
  if (state.status !== 'present') throw songNotFound();
}

export const songNotFound = () => notFound('SONG_NOT_FOUND', 'There is no such song.');

export const song: Decider<State, SongCommand, SongContext> = {
  category: 'song',
  initial: { status: 'none' },
  evolve,
  decide,
};
