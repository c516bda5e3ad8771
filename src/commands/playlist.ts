import { AppError, forbidden, notFound } from '../errors.ts';
import type { AnyEvent } from '../events/events.ts';
import type { PlaylistEvent } from '../events/playlists.ts';
import type { Decider } from './decider.ts';
import { songNotFound } from './song.ts';

interface Entry {
  readonly entryId: string;
  readonly songId: string;
}

interface Present {
  readonly status: 'present';
  readonly ownerId: string;
  /** In playlist order. */
  readonly entries: readonly Entry[];
  /** Account ids. */
  readonly collaborators: readonly string[];
}

type State = { readonly status: 'none' } | Present | { readonly status: 'deleted' };

/** `actor` is the account that wants it. */
export type PlaylistCommand =
  | { readonly type: 'CreatePlaylist'; readonly name: string; readonly actor: string }
  | { readonly type: 'RenamePlaylist'; readonly name: string; readonly actor: string }
  | { readonly type: 'DeletePlaylist'; readonly actor: string }
  | {
      readonly type: 'AddSong';
      readonly songId: string;
      /** Of the place that the song is to take. */
      readonly entryId: string;
      readonly duplicates: 'refuse' | 'allow';
      readonly actor: string;
    }
  | { readonly type: 'RemoveSong'; readonly songId: string; readonly actor: string }
  | {
      readonly type: 'AddCollaborator';
      readonly accountId: string;
      readonly collaborationId: string;
      readonly actor: string;
    }
  | { readonly type: 'RemoveCollaborator'; readonly accountId: string; readonly actor: string };

/** What is read of other things while the command is handled. */
export interface PlaylistContext {
  /** Title of the song that the command names; undefined when there is no such song. */
  readonly songTitle?: string;
  /** Whether there is the account that the command names. */
  readonly accountExists?: boolean;
}

function evolve(state: State, event: AnyEvent): State {
  switch (event.type) {
    case 'PlaylistCreated':
      return { status: 'present', ownerId: event.ownerId, entries: [], collaborators: [] };
    case 'PlaylistDeleted':
      return { status: 'deleted' };
    default:
      return state.status === 'present' ? evolvePresent(state, event) : state;
  }
}

function evolvePresent(state: Present, event: AnyEvent): Present {
  switch (event.type) {
    case 'SongAddedToPlaylist': {
      const { entryId, songId } = event;
      return { ...state, entries: [...state.entries, { entryId, songId }] };
    }
    case 'SongRemovedFromPlaylist':
      return { ...state, entries: state.entries.filter(({ entryId }) => !event.entryIds.includes(entryId)) };
    case 'CollaboratorAdded':
      return { ...state, collaborators: [...state.collaborators, event.accountId] };
    case 'CollaboratorRemoved':
      return { ...state, collaborators: state.collaborators.filter((account) => account !== event.accountId) };
    default:
      return state;
  }
}

/** What is missing is said before what is forbidden, and that before what is impossible. */
function decide(command: PlaylistCommand, state: State, context: PlaylistContext): PlaylistEvent {
  if (command.type === 'CreatePlaylist') {
    if (state.status !== 'none') throw new Error('A new playlist got the id of another one.');
    return { type: 'PlaylistCreated', name: command.name, ownerId: command.actor };
  }
  if (state.status !== 'present') throw playlistNotFound();
  switch (command.type) {
    case 'RenamePlaylist':
      mustOwn(state, command.actor);
      return { type: 'PlaylistRenamed', name: command.name };
    case 'DeletePlaylist':
      mustOwn(state, command.actor);
      return { type: 'PlaylistDeleted' };
    case 'AddSong':
      return addSong(command, state, context);
    case 'RemoveSong':
      return removeSong(command, state, context);
    case 'AddCollaborator':
      return addCollaborator(command, state, context);
    case 'RemoveCollaborator':
      return removeCollaborator(command, state, context);
  }
}

type CommandOf<Type extends PlaylistCommand['type']> = Extract<PlaylistCommand, { type: Type }>;

function addSong(
  { songId, entryId, duplicates, actor }: CommandOf<'AddSong'>,
  state: Present,
  context: PlaylistContext,
) {
  const title = titleOf(context);
  mustShare(state, actor);
  if (duplicates === 'refuse' && state.entries.some((entry) => entry.songId === songId)) {
    throw new AppError('rejected', 'SONG_ALREADY_IN_PLAYLIST', 'The song is in this playlist already.');
  }
  return { type: 'SongAddedToPlaylist', entryId, songId, title } as const;
}

function removeSong({ songId, actor }: CommandOf<'RemoveSong'>, state: Present, context: PlaylistContext) {
  const title = titleOf(context);
  mustShare(state, actor);
  const entryIds = state.entries.filter((entry) => entry.songId === songId).map(({ entryId }) => entryId);
  if (entryIds.length === 0) throw notFound('SONG_NOT_IN_PLAYLIST', 'The song is not in this playlist.');
  return { type: 'SongRemovedFromPlaylist', entryIds, songId, title } as const;
}

function addCollaborator(
  { accountId, collaborationId, actor }: CommandOf<'AddCollaborator'>,
  state: Present,
  { accountExists }: PlaylistContext,
) {
  if (!accountExists) throw userNotFound();
  mustOwn(state, actor);
  if (accountId === state.ownerId || state.collaborators.includes(accountId)) {
    throw new AppError('rejected', 'ALREADY_COLLABORATOR', 'This user has access to the playlist already.');
  }
  return { type: 'CollaboratorAdded', collaborationId, accountId } as const;
}

function removeCollaborator(
  { accountId, actor }: CommandOf<'RemoveCollaborator'>,
  state: Present,
  { accountExists }: PlaylistContext,
) {
  const collaborates = state.collaborators.includes(accountId);
  if (!accountExists && !collaborates) throw userNotFound();
  mustOwn(state, actor);
  if (!collaborates) throw notFound('COLLABORATION_NOT_FOUND', 'This user is no collaborator of the playlist.');
  return { type: 'CollaboratorRemoved', accountId } as const;
}

function titleOf({ songTitle }: PlaylistContext): string {
  if (songTitle === undefined) throw songNotFound();
  return songTitle;
}

function mustOwn({ ownerId }: Present, actor: string): void {
  if (actor !== ownerId) throw forbidden('Only the owner of the playlist may do this.');
}

function mustShare({ ownerId, collaborators }: Present, actor: string): void {
  if (actor !== ownerId && !collaborators.includes(actor)) {
    throw forbidden('Only the owner of the playlist and its collaborators may do this.');
  }
}

export const playlistNotFound = () => notFound('PLAYLIST_NOT_FOUND', 'There is no such playlist.');
const userNotFound = () => notFound('USER_NOT_FOUND', 'There is no such user.');

export const playlist: Decider<State, PlaylistCommand, PlaylistContext> = {
  category: 'playlist',
  initial: { status: 'none' },
  evolve,
  decide,
};
