import type { EntryPlace, PlaylistEvent } from './playlists.ts';

export interface PlaylistEntry extends EntryPlace {
  readonly songId: string;
}

/** The entries of a playlist, folded from its events. */
export interface EntryList {
  /** In playlist order. */
  readonly present: readonly PlaylistEntry[];
  /** Kept because `PlaylistRestored` lists the ids of entries without their songs. */
  readonly removed: readonly PlaylistEntry[];
}

export const noEntries: EntryList = { present: [], removed: [] };

/** The entries after one more event of the playlist. */
export function evolveEntries(list: EntryList, event: PlaylistEvent): EntryList {
  switch (event.type) {
    case 'SongsAddedToPlaylist':
      return { ...list, present: insert(place(list.present, event.rekeyed), event.entries.map(entryOf)) };
    case 'SongsMovedInPlaylist':
      return { ...list, present: place(list.present, [...event.rekeyed, ...event.entries]) };
    case 'SongRemovedFromPlaylist':
      return remove(list, new Set(event.entryIds));
    case 'PlaylistRestored':
      return restore(list, event.entries);
    case 'PlaylistCreated':
    case 'PlaylistChanged':
    case 'PlaylistDeleted':
    case 'PlaylistUndeleted':
    case 'CollaboratorAdded':
    case 'CollaboratorRemoved':
      return list;
  }
}

const entryOf = ({ entryId, songId, orderKey }: PlaylistEntry): PlaylistEntry => ({ entryId, songId, orderKey });

function remove({ present, removed }: EntryList, ids: ReadonlySet<string>): EntryList {
  const [gone, left] = split(present, ids);
  return { present: left, removed: [...removed, ...gone] };
}

function restore({ present, removed }: EntryList, places: readonly EntryPlace[]): EntryList {
  const [listed, others] = split([...present, ...removed], new Set(places.map(({ entryId }) => entryId)));
  return { present: place(listed, places), removed: others };
}

/** Moves the entries that the list holds to their new places. */
function place(entries: readonly PlaylistEntry[], places: readonly EntryPlace[]): readonly PlaylistEntry[] {
  if (places.length === 0) return entries;
  const keys = new Map(places.map(({ entryId, orderKey }) => [entryId, orderKey]));
  const [moved, left] = split(entries, keys);
  return insert(
    left,
    moved.map((entry) => ({ ...entry, orderKey: keys.get(entry.entryId) ?? entry.orderKey })),
  );
}

/** Sorts only when it must: most songs are added at the end. */
function insert(entries: readonly PlaylistEntry[], more: readonly PlaylistEntry[]): readonly PlaylistEntry[] {
  const all = [...entries, ...more];
  const isSorted = more.every((entry, index) => {
    const before = all[entries.length + index - 1];
    return before === undefined || comparePlaces(before, entry) < 0;
  });
  return isSorted ? all : all.sort(comparePlaces);
}

function split(
  entries: readonly PlaylistEntry[],
  ids: { has(id: string): boolean },
): [PlaylistEntry[], PlaylistEntry[]] {
  return [entries.filter(({ entryId }) => ids.has(entryId)), entries.filter(({ entryId }) => !ids.has(entryId))];
}

/** Keys and ids are ASCII, so this is the order of their bytes, and that of Postgres' collation "C". */
export function comparePlaces(one: EntryPlace, other: EntryPlace): number {
  if (one.orderKey !== other.orderKey) return one.orderKey < other.orderKey ? -1 : 1;
  return one.entryId < other.entryId ? -1 : 1;
}
