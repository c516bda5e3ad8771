import { generateKeyBetween } from 'fractional-indexing';
import { AppError, forbidden, notFound } from '../errors.ts';
import type { SongDetails } from '../events/catalog.ts';
import { type EntryList, evolveEntries, noEntries } from '../events/entry-list.ts';
import type { AnyEvent } from '../events/events.ts';
import type { PlaylistDetails, PlaylistEvent } from '../events/playlists.ts';
import type { Decider } from './decider.ts';
import { songNotFound } from './song.ts';

interface Present {
  readonly status: 'present';
  readonly ownerId: string;
  readonly details: PlaylistDetails;
  readonly entries: EntryList;
  /** Account ids. */
  readonly collaborators: readonly string[];
}

/** It can come back as it was. */
interface Deleted extends Omit<Present, 'status'> {
  readonly status: 'deleted';
}

type State = { readonly status: 'none' } | Present | Deleted;

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
  /** The song that the command names; undefined when there is no such song. */
  readonly song?: Pick<SongDetails, 'title' | 'performer' | 'year'>;
  /** Whether there is the account that the command names. */
  readonly accountExists?: boolean;
}

function evolve(state: State, event: AnyEvent): State {
  switch (event.type) {
    case 'PlaylistCreated': {
      const details = detailsOf({ ...event, linkId: null });
      return { status: 'present', ownerId: event.ownerId, details, entries: noEntries, collaborators: [] };
    }
    case 'PlaylistDeleted':
      return state.status === 'none' ? state : { ...state, status: 'deleted' };
    case 'PlaylistUndeleted':
      return state.status === 'none' ? state : { ...state, status: 'present' };
    default:
      return state.status === 'none' ? state : evolveExisting(state, event);
  }
}

const detailsOf = ({ name, description, visibility, linkId }: PlaylistDetails): PlaylistDetails => ({
  name,
  description,
  visibility,
  linkId,
});

/** A deleted one as well, because its rows change too. */
function evolveExisting<Existing extends Present | Deleted>(state: Existing, event: AnyEvent): Existing {
  switch (event.type) {
    case 'PlaylistChanged':
      return { ...state, details: detailsOf(event) };
    case 'PlaylistRestored': {
      const { name, description } = event;
      const details = { ...state.details, name, description };
      return { ...state, details, entries: evolveEntries(state.entries, event) };
    }
    case 'SongsAddedToPlaylist':
    case 'SongsMovedInPlaylist':
    case 'SongRemovedFromPlaylist':
      return { ...state, entries: evolveEntries(state.entries, event) };
    case 'CollaboratorAdded':
      return { ...state, collaborators: [...state.collaborators, event.accountId] };
    case 'CollaboratorRemoved':
      return { ...state, collaborators: state.collaborators.filter((account) => account !== event.accountId) };
    default:
      return state;
  }
}

/** What is missing is said before what is forbidden, and that before what is impossible. */
function decide(playlistId: string, command: PlaylistCommand, state: State, context: PlaylistContext): PlaylistEvent {
  if (command.type === 'CreatePlaylist') {
    if (state.status !== 'none') throw new Error('A new playlist got the id of another one.');
    const details = { name: command.name, description: null, visibility: 'private' };
    return { type: 'PlaylistCreated', playlistId, ownerId: command.actor, ...details };
  }
  if (state.status !== 'present') throw playlistNotFound();
  switch (command.type) {
    case 'RenamePlaylist':
      mustOwn(state, command.actor);
      return { type: 'PlaylistChanged', playlistId, ...state.details, name: command.name };
    case 'DeletePlaylist':
      mustOwn(state, command.actor);
      return { type: 'PlaylistDeleted', playlistId, name: state.details.name };
    case 'AddSong':
      return { playlistId, ...addSong(command, state, context) };
    case 'RemoveSong':
      return { playlistId, ...removeSong(command, state, context) };
    case 'AddCollaborator':
      return { playlistId, ...addCollaborator(command, state, context) };
    case 'RemoveCollaborator':
      return { playlistId, ...removeCollaborator(command, state, context) };
  }
}

type CommandOf<Type extends PlaylistCommand['type']> = Extract<PlaylistCommand, { type: Type }>;

function addSong(
  { songId, entryId, duplicates, actor }: CommandOf<'AddSong'>,
  state: Present,
  context: PlaylistContext,
) {
  const { title } = songOf(context);
  mustShare(state, actor);
  const { present } = state.entries;
  if (duplicates === 'refuse' && present.some((entry) => entry.songId === songId)) {
    throw new AppError('rejected', 'SONG_ALREADY_IN_PLAYLIST', 'The song is in this playlist already.');
  }
  const orderKey = generateKeyBetween(present.at(-1)?.orderKey, null);
  return { type: 'SongsAddedToPlaylist', entries: [{ entryId, songId, title, orderKey }], rekeyed: [] } as const;
}

function removeSong({ songId, actor }: CommandOf<'RemoveSong'>, state: Present, context: PlaylistContext) {
  const { title, performer, year } = songOf(context);
  mustShare(state, actor);
  const entryIds = state.entries.present.filter((entry) => entry.songId === songId).map(({ entryId }) => entryId);
  if (entryIds.length === 0) throw notFound('SONG_NOT_IN_PLAYLIST', 'The song is not in this playlist.');
  return { type: 'SongRemovedFromPlaylist', songId, entryIds, title, performer, year } as const;
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

function songOf({ song }: PlaylistContext) {
  if (song === undefined) throw songNotFound();
  return song;
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
