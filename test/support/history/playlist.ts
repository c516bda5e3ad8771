import { isDeepStrictEqual } from 'node:util';
import type { Thing } from './category.ts';
import type { Fact } from './world.ts';

/** A playlist, or the state of a deleted one. */
export interface Playlist extends Thing {
  readonly name: string;
  readonly ownerId: string;
  /** In playlist order. */
  readonly entries: readonly Entry[];
  readonly removed: readonly Entry[];
  /** Account ids. */
  readonly collaborators: readonly string[];
  /** Oldest first. */
  readonly activities: readonly Activity[];
}

interface Entry {
  readonly entryId: string;
  readonly songId: string;
  readonly orderKey: string;
  readonly version: number;
}

interface Activity {
  readonly version: number;
  /** Among the songs of the version. */
  readonly place: number;
  readonly actor: string;
  readonly title: string;
  readonly action: 'add' | 'delete';
  readonly time: string;
}

export const mayUse = ({ ownerId, collaborators }: Playlist, account: string): boolean =>
  account === ownerId || collaborators.includes(account);

export const entriesOf = ({ entries }: Playlist, song: string): string[] =>
  entries.filter(({ songId }) => songId === song).map(({ entryId }) => entryId);

export function evolve(thing: Thing | undefined, fact: Fact): Thing | undefined {
  const { event } = fact;
  if (event.type === 'PlaylistDeleted') return undefined;
  if (event.type === 'PlaylistCreated') {
    const { name, ownerId } = event;
    return { name, ownerId, entries: [], removed: [], collaborators: [], activities: [] } satisfies Playlist;
  }
  return thing && evolvePresent(thing as Playlist, fact);
}

function evolvePresent(playlist: Playlist, { event, version, actor, time }: Fact): Playlist {
  const { entries, removed, collaborators, activities } = playlist;
  const activity = { version, actor, time };
  switch (event.type) {
    case 'PlaylistChanged':
      return { ...playlist, name: event.name };
    case 'SongsAddedToPlaylist': {
      const added = event.entries.map(({ entryId, songId, orderKey }) => ({ entryId, songId, orderKey, version }));
      const acts = event.entries.map(({ title }, place) => ({ ...activity, place, title, action: 'add' as const }));
      return {
        ...playlist,
        entries: [...entries, ...added].sort((one, other) => (one.orderKey < other.orderKey ? -1 : 1)),
        activities: [...activities, ...acts],
      };
    }
    case 'SongRemovedFromPlaylist': {
      const isGone = ({ entryId }: Entry) => event.entryIds.includes(entryId);
      return {
        ...playlist,
        entries: entries.filter((entry) => !isGone(entry)),
        removed: [...removed, ...entries.filter(isGone)],
        activities: [...activities, { ...activity, place: 0, title: event.title, action: 'delete' }],
      };
    }
    case 'CollaboratorAdded':
      return { ...playlist, collaborators: [...collaborators, event.accountId] };
    case 'CollaboratorRemoved':
      return { ...playlist, collaborators: collaborators.filter((account) => account !== event.accountId) };
    default:
      return playlist;
  }
}

/** The checks of the API before a write. */
export function allows(thing: Thing | undefined, { event, actor }: Fact): boolean {
  if (event.type === 'PlaylistCreated') return thing === undefined && event.ownerId === actor;
  if (!thing) return false;
  const playlist = thing as Playlist;
  switch (event.type) {
    case 'SongsAddedToPlaylist':
      return mayUse(playlist, actor) && event.entries.every(({ songId }) => entriesOf(playlist, songId).length === 0);
    case 'SongRemovedFromPlaylist': {
      const entries = entriesOf(playlist, event.songId);
      return mayUse(playlist, actor) && entries.length > 0 && isDeepStrictEqual(entries, event.entryIds);
    }
    case 'CollaboratorAdded':
      return actor === playlist.ownerId && !mayUse(playlist, event.accountId);
    case 'CollaboratorRemoved':
      return actor === playlist.ownerId && playlist.collaborators.includes(event.accountId);
    default:
      return actor === playlist.ownerId;
  }
}
