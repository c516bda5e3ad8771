import { generateKeyBetween } from 'fractional-indexing';
import { AppError, forbidden, notFound } from '../errors.ts';
import type { SongDetails } from '../events/catalog.ts';
import { type EntryList, evolveEntries, noEntries } from '../events/entry-list.ts';
import { type EntryPlace, type PlaylistDetails, type PlaylistEvent, UNDELETE_MS } from '../events/playlists.ts';
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

/** Keeps everything, because a deleted playlist can be undeleted. */
interface Deleted extends Omit<Present, 'status'> {
  readonly status: 'deleted';
}

type State = { readonly status: 'none' } | Present | Deleted;

/** `actor` is the id of the account that sends the command. */
export type PlaylistCommand =
  | { readonly type: 'CreatePlaylist'; readonly name: string; readonly actor: string }
  | { readonly type: 'RenamePlaylist'; readonly name: string; readonly actor: string }
  | { readonly type: 'DeletePlaylist'; readonly actor: string }
  /** `now`: milliseconds since the epoch. */
  | { readonly type: 'UndeletePlaylist'; readonly now: number; readonly actor: string }
  | { readonly type: 'RestorePlaylist'; readonly version: number; readonly actor: string }
  | {
      readonly type: 'AddSong';
      readonly songId: string;
      /** Id of the new entry. */
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

/** What is read of other streams and tables while the command is handled. */
export interface PlaylistContext {
  /** The song that the command names; undefined when there is no such song. */
  readonly song?: Pick<SongDetails, 'title' | 'performer' | 'year'>;
  /** Whether the account that the command names exists. */
  readonly accountExists?: boolean;
  /** The playlist at the version that the command names; undefined when there was none at that version. */
  readonly earlier?: EarlierPlaylist;
  /** When the playlist was deleted, in milliseconds since the epoch; undefined when it is not. */
  readonly deletedAt?: number;
}

interface EarlierPlaylist extends Pick<PlaylistDetails, 'name' | 'description'> {
  /** In playlist order. */
  readonly entries: readonly EntryPlace[];
}

export interface PlaylistTypes {
  readonly category: 'playlist';
  readonly state: State;
  readonly command: PlaylistCommand;
  readonly context: PlaylistContext;
}

function evolve(state: State, event: PlaylistEvent): State {
  if (event.type === 'PlaylistCreated') {
    const details = detailsOf({ ...event, linkId: null });
    return { status: 'present', ownerId: event.ownerId, details, entries: noEntries, collaborators: [] };
  }
  return state.status === 'none' ? state : evolveExisting(state, event);
}

const detailsOf = ({ name, description, visibility, linkId }: PlaylistDetails): PlaylistDetails => ({
  name,
  description,
  visibility,
  linkId,
});

type LaterEvent = Exclude<PlaylistEvent, { type: 'PlaylistCreated' }>;

/** Deleted playlists change as well, because their rows do. */
function evolveExisting(state: Present | Deleted, event: LaterEvent): Present | Deleted {
  switch (event.type) {
    case 'PlaylistChanged':
      return { ...state, details: detailsOf(event) };
    case 'PlaylistDeleted':
      return { ...state, status: 'deleted' };
    case 'PlaylistUndeleted':
      return { ...state, status: 'present' };
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
  }
}

/** Checks in this order: what is missing (404), what is forbidden (403), what is impossible (400). */
function decide(playlistId: string, command: PlaylistCommand, state: State, context: PlaylistContext): PlaylistEvent {
  if (command.type === 'CreatePlaylist') {
    if (state.status !== 'none') throw new Error('The id of the new playlist is taken.');
    const details = { name: command.name, description: null, visibility: 'private' };
    return { type: 'PlaylistCreated', playlistId, ownerId: command.actor, ...details };
  }
  if (command.type === 'UndeletePlaylist') return undelete(playlistId, command, state, context);
  if (state.status !== 'present') throw playlistNotFound();
  switch (command.type) {
    case 'RenamePlaylist':
      requireOwner(state, command.actor);
      return { type: 'PlaylistChanged', playlistId, ...state.details, name: command.name };
    case 'DeletePlaylist':
      requireOwner(state, command.actor);
      return { type: 'PlaylistDeleted', playlistId, name: state.details.name };
    case 'RestorePlaylist':
      return { playlistId, ...restore(command, state, context) };
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

/** A deleted playlist is missing for all accounts but its owner's. */
function undelete(
  playlistId: string,
  { actor, now }: CommandOf<'UndeletePlaylist'>,
  state: State,
  { deletedAt }: PlaylistContext,
): PlaylistEvent {
  if (state.status === 'none') throw playlistNotFound();
  if (state.status === 'present') {
    requireOwner(state, actor);
    throw new AppError('rejected', 'PLAYLIST_NOT_DELETED', 'The playlist is not deleted.');
  }
  const isInTime = deletedAt !== undefined && now - deletedAt < UNDELETE_MS;
  if (actor !== state.ownerId || !isInTime) throw playlistNotFound();
  return { type: 'PlaylistUndeleted', playlistId, name: state.details.name };
}

/** The schema of the event allows no more. */
const MAX_RESTORED = 10_000;

function restore({ version, actor }: CommandOf<'RestorePlaylist'>, state: Present, { earlier }: PlaylistContext) {
  requireOwner(state, actor);
  if (!earlier) throw versionNotFound();
  const { name, description } = earlier;
  if (earlier.entries.length > MAX_RESTORED) {
    throw new AppError('too-large', 'EVENT_TOO_LARGE', `At most ${MAX_RESTORED} songs can be restored.`);
  }
  const entries = earlier.entries.map(({ entryId, orderKey }) => ({ entryId, orderKey }));
  return { type: 'PlaylistRestored', restoredVersion: version, name, description, entries } as const;
}

function addSong(
  { songId, entryId, duplicates, actor }: CommandOf<'AddSong'>,
  state: Present,
  context: PlaylistContext,
) {
  const { title } = songOf(context);
  requireAccess(state, actor);
  const { present } = state.entries;
  if (duplicates === 'refuse' && present.some((entry) => entry.songId === songId)) {
    throw new AppError('rejected', 'SONG_ALREADY_IN_PLAYLIST', 'The song is already in this playlist.');
  }
  const orderKey = generateKeyBetween(present.at(-1)?.orderKey, null);
  return { type: 'SongsAddedToPlaylist', entries: [{ entryId, songId, title, orderKey }], rekeyed: [] } as const;
}

function removeSong({ songId, actor }: CommandOf<'RemoveSong'>, state: Present, context: PlaylistContext) {
  const { title, performer, year } = songOf(context);
  requireAccess(state, actor);
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
  requireOwner(state, actor);
  if (accountId === state.ownerId || state.collaborators.includes(accountId)) {
    throw new AppError('rejected', 'ALREADY_COLLABORATOR', 'This user already has access to the playlist.');
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
  requireOwner(state, actor);
  if (!collaborates) throw notFound('COLLABORATION_NOT_FOUND', 'This user is not a collaborator of the playlist.');
  return { type: 'CollaboratorRemoved', accountId } as const;
}

function songOf({ song }: PlaylistContext) {
  if (song === undefined) throw songNotFound();
  return song;
}

function requireOwner({ ownerId }: Present, actor: string): void {
  if (actor !== ownerId) throw forbidden('Only the owner of the playlist may do this.');
}

function requireAccess({ ownerId, collaborators }: Present, actor: string): void {
  if (actor !== ownerId && !collaborators.includes(actor)) {
    throw forbidden('Only the owner of the playlist and its collaborators may do this.');
  }
}

export const versionNotFound = () => notFound('VERSION_NOT_FOUND', 'There is no such version of the playlist.');
export const playlistNotFound = () => notFound('PLAYLIST_NOT_FOUND', 'There is no such playlist.');
const userNotFound = () => notFound('USER_NOT_FOUND', 'There is no such user.');

export const playlist: Decider<PlaylistTypes> = {
  category: 'playlist',
  initial: { status: 'none' },
  evolve,
  decide,
};
