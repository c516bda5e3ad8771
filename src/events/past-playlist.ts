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
  const known = new Map<string, PlaylistEntry>();
  const present = new Set<string>();
  const collaborators = new Set<string>();
  let details = { name: '', description: null as string | null, isThere: false };

  const place = (places: readonly EntryPlace[]) => {
    for (const { entryId, orderKey } of places) {
      const entry = known.get(entryId);
      if (entry && present.has(entryId)) known.set(entryId, { ...entry, orderKey });
    }
  };
  const describe = ({ name, description }: { name: string; description: string | null }) => {
    details = { ...details, name, description };
  };

  function add(event: PlaylistEvent): void {
    switch (event.type) {
      case 'PlaylistCreated':
        describe(event);
        return void (details.isThere = true);
      case 'PlaylistChanged':
        return describe(event);
      case 'PlaylistDeleted':
        return void (details.isThere = false);
      case 'PlaylistUndeleted':
        return void (details.isThere = true);
      case 'SongsAddedToPlaylist':
        place(event.rekeyed);
        for (const { entryId, songId, orderKey } of event.entries) {
          known.set(entryId, { entryId, songId, orderKey });
          present.add(entryId);
        }
        return;
      case 'SongsMovedInPlaylist':
        return place([...event.rekeyed, ...event.entries]);
      case 'SongRemovedFromPlaylist':
        return event.entryIds.forEach((id) => present.delete(id));
      case 'PlaylistRestored':
        describe(event);
        present.clear();
        for (const { entryId } of event.entries) if (known.has(entryId)) present.add(entryId);
        return place(event.entries);
      case 'CollaboratorAdded':
        return void collaborators.add(event.accountId);
      case 'CollaboratorRemoved':
        return void collaborators.delete(event.accountId);
    }
  }

  function result(): PastPlaylist | undefined {
    const { isThere, name, description } = details;
    if (!isThere) return undefined;
    const entries = [...present].flatMap((id) => known.get(id) ?? []).sort(comparePlaces);
    return { name, description, entries, collaborators: [...collaborators] };
  }

  return { add, result };
}
