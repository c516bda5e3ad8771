import {
  deletionsOf,
  eventsOfState,
  eventsOfTypes,
  type StreamVersion,
  versionAt,
  versionsIn,
  type VersionSpan,
} from '../event-store/stream-history.ts';
import { decodeEvent, typeOf } from '../events/codec.ts';
import type { PlaylistEntry } from '../events/entry-list.ts';
import { isEventOf } from '../events/events.ts';
import { createPlaylistFold, type PastPlaylist } from '../events/past-playlist.ts';
import type { ListReader } from '../postgres/list-reader.ts';
import type { Database } from '../postgres/pool.ts';
import { byKey, type List } from './engine/lists.ts';
import { diffOfLists } from './playlist-diff.ts';
import type { PlaylistHead } from './playlists.ts';
import { songsById, type SongSummary } from './songs.ts';

type Queryable = Pick<Database, 'query'>;

/** A change of a playlist. */
export interface PlaylistVersion {
  readonly version: number;
  /** ISO 8601, UTC. */
  readonly time: string;
  /** The account that did it; its username is `deleted` when it no longer exists. */
  readonly actor: UserMention;
  /** Type of the event. */
  readonly type: string;
}

interface UserMention {
  readonly id: string;
  readonly username: string;
}

/** No stream gets so long. A span without an end ends here, so that it has the versions of this moment, too. */
const LAST_VERSION = 2 ** 31 - 1;

const COLLABORATION = ['CollaboratorAdded', 'CollaboratorRemoved'] as const;

/** The versions that an account may see: all of its own playlist, and of another one those in the times of its collaboration. */
export async function visibleVersions(
  database: Queryable,
  { id, ownerId }: Pick<PlaylistHead, 'id' | 'ownerId'>,
  account: string,
): Promise<readonly VersionSpan[]> {
  if (account === ownerId) return [{ first: 1, last: LAST_VERSION }];
  const spans: VersionSpan[] = [];
  let first: number | undefined;
  for (const row of await eventsOfTypes(database, id, COLLABORATION)) {
    const event = decodeEvent(row.type, row.value);
    if (!('accountId' in event) || event.accountId !== account) continue;
    if (event.type === 'CollaboratorAdded') first ??= row.version;
    else if (first !== undefined) {
      spans.push({ first, last: row.version - 1 });
      first = undefined;
    }
  }
  return first === undefined ? spans : [...spans, { first, last: LAST_VERSION }];
}

/** The versions in these spans, the newest first, after the given one. */
export function versionsOf(
  { first, query }: ListReader,
  playlist: string,
  spans: readonly VersionSpan[],
  after?: number,
): List<PlaylistVersion> {
  return byKey<PlaylistVersion>(async (limit, last) => {
    const read = { query: last ? query : first };
    const before = last?.version ?? after ?? LAST_VERSION;
    const rows = await versionsIn(read, playlist, { spans, before, limit });
    const users = await usersById(read, [...new Set(rows.map(({ actor }) => actor))]);
    return rows.map(({ version, time, actor, type }) => ({ version, time, actor: users(actor), type: typeOf(type) }));
  });
}

async function usersById({ query }: Queryable, ids: readonly string[]): Promise<(id: string) => UserMention> {
  const text = 'SELECT id, username FROM accounts WHERE id = ANY($1)';
  const rows = await query<{ id: string; username: string }>({ name: 'usernames', text, values: [ids] });
  const names = new Map(rows.map(({ id, username }) => [id, username]));
  return (id) => ({ id, username: names.get(id) ?? 'deleted' });
}

/** Names a version: by number, or by a time, in ISO 8601 with milliseconds, UTC, at which it was the current one. */
export type VersionName = { readonly version: number } | { readonly at: string };

/** A playlist at a version. */
export interface PlaylistSnapshot extends PastPlaylist {
  readonly version: number;
  /** When the version came about. */
  readonly time: string;
  /** Songs that were deleted until then are not in it. */
  readonly asOf: string;
}

/** The playlist at a version; undefined when there is none in these spans, or when the playlist was deleted at that version. */
export async function snapshotOf(
  database: Queryable,
  playlist: string,
  spans: readonly VersionSpan[],
  name: VersionName,
): Promise<PlaylistSnapshot | undefined> {
  const named = await findVersion(database, playlist, name);
  if (!named || !spans.some(({ first, last }) => named.version >= first && named.version <= last)) return undefined;
  const past = await pastPlaylist(database, playlist, named.version);
  const { version, time } = named;
  return past && { ...past, version, time, asOf: 'at' in name ? name.at : time };
}

async function findVersion(
  database: Queryable,
  playlist: string,
  name: VersionName,
): Promise<StreamVersion | undefined> {
  if ('at' in name) return versionAt(database, playlist, name.at);
  if (name.version >= LAST_VERSION) return undefined;
  const only = [{ first: name.version, last: name.version }];
  return (await versionsIn(database, playlist, { spans: only, before: LAST_VERSION, limit: 1 }))[0];
}

/** Events that are read and folded in one go: few enough to let other requests run in between. */
const STEP = 2_000;

/** The playlist at that version; undefined when there is no such version, or when the playlist was deleted then. */
export async function pastPlaylist(
  database: Queryable,
  playlist: string,
  version: number,
): Promise<PastPlaylist | undefined> {
  const fold = createPlaylistFold();
  let [after, isOver] = [0, version > LAST_VERSION];
  while (!isOver) {
    const wanted = { after, until: version, limit: STEP, lastOf: 'PlaylistRestored' };
    const rows = await eventsOfState(database, playlist, wanted);
    for (const { type, value } of rows) {
      const event = decodeEvent(type, value);
      if (isEventOf('playlist', event)) fold.add(event);
    }
    after = rows.at(-1)?.version ?? after;
    isOver = rows.length < STEP;
  }
  return after === version ? fold.result() : undefined;
}

/** The songs of a snapshot, in its order. */
export function songsOfSnapshot({ query }: ListReader, { entries, asOf }: PlaylistSnapshot): List<SongSummary> {
  let at = 0;
  return {
    async next(most) {
      if (at >= entries.length) return undefined;
      const some = entries.slice(at, at + most);
      at += some.length;
      return shownSongs(some, await knownSongs({ query }, some), asOf);
    },
  };
}

/** A song with its title and performer of today; of a deleted one those that it had last. */
interface KnownSong extends SongSummary {
  readonly deletedAt?: string;
}

type Songs = ReadonlyMap<string, KnownSong>;

/** A song that was deleted later was still to be seen then. */
function shownSongs(entries: readonly PlaylistEntry[], songs: Songs, asOf: string): SongSummary[] {
  return entries.flatMap(({ songId }) => {
    const song = songs.get(songId);
    if (!song || (song.deletedAt !== undefined && song.deletedAt <= asOf)) return [];
    return [{ id: song.id, title: song.title, performer: song.performer }];
  });
}

async function knownSongs({ query }: Queryable, entries: readonly PlaylistEntry[]): Promise<Songs> {
  const ids = [...new Set(entries.map(({ songId }) => songId))];
  const songs = new Map<string, KnownSong>((await songsById(query, ids)).map((song) => [song.id, song]));
  const others = ids.filter((id) => !songs.has(id));
  if (others.length === 0) return songs;
  for (const { stream, type, value, time } of await deletionsOf({ query }, others, 'SongDeleted')) {
    const event = decodeEvent(type, value);
    if (event.type !== 'SongDeleted') continue;
    songs.set(stream, { id: stream, title: event.title, performer: event.performer, deletedAt: time });
  }
  return songs;
}

/** What differs between two versions. Positions count from 1. */
export interface PlaylistDiff {
  /** Null when it is the same. */
  readonly name: { readonly from: string; readonly to: string } | null;
  readonly added: readonly (SongSummary & { readonly position: number })[];
  readonly removed: readonly (SongSummary & { readonly position: number })[];
  readonly moved: readonly (SongSummary & { readonly from: number; readonly to: number })[];
}

/** How the playlist of the one snapshot became that of the other, as both are shown. */
export async function diffOf(database: Queryable, from: PlaylistSnapshot, to: PlaylistSnapshot): Promise<PlaylistDiff> {
  const songs = await knownSongs(database, [...from.entries, ...to.entries]);
  const [before, after] = [from, to].map(({ entries, asOf }) => shownSongs(entries, songs, asOf)) as [
    SongSummary[],
    SongSummary[],
  ];
  const ids = (list: readonly SongSummary[]) => list.map(({ id }) => id);
  const { added, removed, moved } = diffOfLists(ids(before), ids(after));
  const at = (list: readonly SongSummary[], index: number) => list.slice(index, index + 1);
  return {
    name: from.name === to.name ? null : { from: from.name, to: to.name },
    added: added.flatMap((index) => at(after, index).map((song) => ({ ...song, position: index + 1 }))),
    removed: removed.flatMap((index) => at(before, index).map((song) => ({ ...song, position: index + 1 }))),
    moved: moved.flatMap((each) =>
      at(after, each.to).map((song) => ({ ...song, from: each.from + 1, to: each.to + 1 })),
    ),
  };
}

/** The collaborators that came and went between two versions. */
export async function collaboratorsChanged(database: Queryable, from: PastPlaylist, to: PastPlaylist) {
  const without = (all: readonly string[], others: readonly string[]) => all.filter((id) => !others.includes(id));
  const added = without(to.collaborators, from.collaborators);
  const removed = without(from.collaborators, to.collaborators);
  const users = await usersById(database, [...added, ...removed]);
  return { added: added.map(users), removed: removed.map(users) };
}
