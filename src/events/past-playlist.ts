import { comparePlaces, type PlaylistEntry } from './entry-list.ts';
import type { EntryPlace, PlaylistEvent } from './playlists.ts';

/** A playlist at one version of its stream. */
export interface PastPlaylist {
  readonly name: string;
  readonly description: string | null;
  /** In playlist order. */
  readonly entries: readonly PlaylistEntry[];
  /** Account ids. */
  readonly collaborators: readonly string[];
}

/** Folds the events of a playlist in place: the lists of `evolveEntries` would be copied once for each of many events. */
export interface PlaylistFold {
  /** Earlier `PlaylistRestored` may be left out when a later one follows, because each lists all entries. */
  add(event: PlaylistEvent): void;
  /** The playlist after the events so far; undefined when there is none yet, or it is deleted. */
  result(): PastPlaylist | undefined;
}

export function createPlaylistFold(): PlaylistFold {
  const list = createEntries();
  const collaborators = new Set<string>();
  let [details, isThere] = [{ name: '', description: null as string | null }, false];

  function add(event: PlaylistEvent): void {
    list.add(event);
    switch (event.type) {
      case 'PlaylistDeleted':
        isThere = false;
        break;
      case 'PlaylistUndeleted':
        isThere = true;
        break;
      case 'PlaylistCreated':
      case 'PlaylistChanged':
      case 'PlaylistRestored':
        isThere ||= event.type === 'PlaylistCreated';
        details = { name: event.name, description: event.description };
        break;
      case 'CollaboratorAdded':
        collaborators.add(event.accountId);
        break;
      case 'CollaboratorRemoved':
        collaborators.delete(event.accountId);
        break;
      case 'SongsAddedToPlaylist':
      case 'SongsMovedInPlaylist':
      case 'SongRemovedFromPlaylist':
        break;
    }
  }

  const result = () =>
    isThere ? { ...details, entries: list.entries(), collaborators: [...collaborators] } : undefined;
  return { add, result };
}

/** The entries that a playlist has, and those that it had. */
function createEntries() {
  const known = new Map<string, PlaylistEntry>();
  const present = new Set<string>();

  function place(places: readonly EntryPlace[]): void {
    for (const { entryId, orderKey } of places) {
      const entry = known.get(entryId);
      if (entry && present.has(entryId)) known.set(entryId, { ...entry, orderKey });
    }
  }

  function add(event: PlaylistEvent): void {
    switch (event.type) {
      case 'SongsAddedToPlaylist':
        place(event.rekeyed);
        for (const { entryId, songId, orderKey } of event.entries) {
          known.set(entryId, { entryId, songId, orderKey });
          present.add(entryId);
        }
        break;
      case 'SongsMovedInPlaylist':
        place([...event.rekeyed, ...event.entries]);
        break;
      case 'SongRemovedFromPlaylist':
        for (const id of event.entryIds) present.delete(id);
        break;
      case 'PlaylistRestored':
        present.clear();
        for (const { entryId } of event.entries) if (known.has(entryId)) present.add(entryId);
        place(event.entries);
        break;
      case 'PlaylistCreated':
      case 'PlaylistChanged':
      case 'PlaylistDeleted':
      case 'PlaylistUndeleted':
      case 'CollaboratorAdded':
      case 'CollaboratorRemoved':
        break;
    }
  }

  const entries = () => [...present].flatMap((id) => known.get(id) ?? []).sort(comparePlaces);
  return { add, entries };
}
