import { notFound } from '../errors.ts';
import type { SongDetails, SongEvent } from '../events/catalog.ts';
import { albumNotFound } from './album.ts';
import type { Decider } from './decider.ts';

interface Present extends Pick<SongDetails, 'title' | 'performer' | 'year'> {
  readonly status: 'present';
}

type State = { readonly status: 'none' } | Present | { readonly status: 'deleted' };

export type SongCommand =
  | { readonly type: 'CreateSong'; readonly details: SongDetails }
  | { readonly type: 'ChangeSong'; readonly details: SongDetails }
  | { readonly type: 'DeleteSong' };

/** What is read of other streams while the command is handled. */
export interface SongContext {
  /** Whether the album that the details name exists; true when they name none. */
  readonly albumExists: boolean;
}

export interface SongTypes {
  readonly category: 'song';
  readonly state: State;
  readonly command: SongCommand;
  readonly context: SongContext;
}

function evolve(state: State, event: SongEvent): State {
  switch (event.type) {
    case 'SongCreated':
      return present(event);
    case 'SongChanged':
      return state.status === 'present' ? present(event) : state;
    case 'SongDeleted':
      return { status: 'deleted' };
  }
}

const present = ({ title, performer, year }: SongDetails): Present => ({ status: 'present', title, performer, year });

function decide(songId: string, command: SongCommand, state: State, context: SongContext): SongEvent {
  if (command.type === 'CreateSong') {
    if (state.status !== 'none') throw new Error('The id of the new song is taken.');
    if (!context.albumExists) throw albumNotFound();
    return { type: 'SongCreated', songId, ...command.details };
  }
  if (state.status !== 'present') throw songNotFound();
  switch (command.type) {
    case 'ChangeSong':
      if (!context.albumExists) throw albumNotFound();
      return { type: 'SongChanged', songId, ...command.details };
    case 'DeleteSong': {
      const { title, performer, year } = state;
      return { type: 'SongDeleted', songId, title, performer, year };
    }
  }
}

export const songNotFound = () => notFound('SONG_NOT_FOUND', 'There is no such song.');

export const song: Decider<SongTypes> = {
  category: 'song',
  initial: { status: 'none' },
  evolve,
  decide,
};
