import { notFound } from '../errors.ts';
import type { SongDetails, SongEvent } from '../events/catalog.ts';
import type { AnyEvent } from '../events/events.ts';
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

function evolve(state: State, event: AnyEvent): State {
  switch (event.type) {
    case 'SongCreated':
      return present(event);
    case 'SongChanged':
      return state.status === 'present' ? present(event) : state;
    case 'SongDeleted':
      return { status: 'deleted' };
    default:
      return state;
  }
}

const present = ({ title, performer, year }: SongDetails): Present => ({ status: 'present', title, performer, year });

function decide(songId: string, command: SongCommand, state: State, context: SongContext): SongEvent {
  if (command.type === 'CreateSong') {
    if (state.status !== 'none') throw new Error('A new song got the id of another one.');
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

export const song: Decider<State, SongCommand, SongContext> = {
  category: 'song',
  initial: { status: 'none' },
  evolve,
  decide,
};
