import { isDeepStrictEqual } from 'node:util';
import type { Thing } from './category.ts';
import type { Fact } from './world.ts';

/** A playlist that is there, or its last remains. */
export interface Playlist extends Thing {
  readonly name: string;
  readonly ownerId: string;
  /** In playlist order. */
  readonly entries: readonly { readonly entryId: string; readonly songId: string; readonly version: number }[];
  /** Account ids. */
  readonly collaborators: readonly string[];
  /** Oldest first. */
  readonly activities: readonly Activity[];
}

interface Activity {
  readonly version: number;
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
    return { name, ownerId, entries: [], collaborators: [], activities: [] } satisfies Playlist;
  }
  return thing && evolvePresent(thing as Playlist, fact);
}

function evolvePresent(playlist: Playlist, { event, version, actor, time }: Fact): Playlist {
  const { entries, collaborators, activities } = playlist;
  const activity = { version, actor, time };
  switch (event.type) {
    case 'PlaylistRenamed':
      return { ...playlist, name: event.name };
    case 'SongAddedToPlaylist': {
      const { entryId, songId, title } = event;
      return {
        ...playlist,
        entries: [...entries, { entryId, songId, version }],
        activities: [...activities, { ...activity, title, action: 'add' }],
      };
    }
    case 'SongRemovedFromPlaylist':
      return {
        ...playlist,
        entries: entries.filter(({ entryId }) => !event.entryIds.includes(entryId)),
        activities: [...activities, { ...activity, title: event.title, action: 'delete' }],
      };
    case 'CollaboratorAdded':
      return { ...playlist, collaborators: [...collaborators, event.accountId] };
    case 'CollaboratorRemoved':
      return { ...playlist, collaborators: collaborators.filter((account) => account !== event.accountId) };
    default:
      return playlist;
  }
}

/** What the API must ask before anything is written. */
export function allows(thing: Thing | undefined, { event, actor }: Fact): boolean {
  if (event.type === 'PlaylistCreated') return thing === undefined && event.ownerId === actor;
  if (!thing) return false;
  const playlist = thing as Playlist;
  switch (event.type) {
    case 'SongAddedToPlaylist':
      return mayUse(playlist, actor) && entriesOf(playlist, event.songId).length === 0;
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
