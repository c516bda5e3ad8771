import { isDeepStrictEqual } from 'node:util';
import {
  absent,
  type Answered,
  listObservations,
  present,
  rejectionObservations,
  type Observation,
  versionOf,
} from './category.ts';
import type { Person, PlannedRequest } from './history.ts';
import { entriesOf, mayUse, type Playlist } from './playlist.ts';
import { isListed, type SongSummary } from './songs.ts';
import type { World } from './world.ts';

/** What answers show of playlists, and of the songs in them. */
export function playlistObservations(request: PlannedRequest, outcome: Answered, world: World): readonly Observation[] {
  const { as, effect, path } = request;
  if (!as) throw new Error('no person asked');
  const stream = effect?.stream ?? /^\/playlists\/([^/]+)/.exec(path)?.[1] ?? '';
  if (outcome.kind === 'refused') return refused(stream, outcome, request, as);
  if (effect) return madeOf(outcome);
  const data = (outcome.body as { data: unknown }).data;
  if (path === '/playlists') return listed(data as List, as, world);
  if (path.endsWith('/activities')) return activities(stream, data as Activities, as, world);
  return songs(stream, versionOf(outcome.etag), data as View, as, world);
}

/** The condition that an existing playlist must have met. */
const about = (stream: string, saw: string, fits: (playlist: Playlist, version: number) => boolean): Observation => ({
  stream,
  saw,
  fits: (thing, version) => thing !== undefined && fits(thing as Playlist, version),
});

type Refused = Extract<Answered, { kind: 'refused' }>;

function refused(
  stream: string,
  outcome: Refused,
  { effect, json }: PlannedRequest,
  as: Person,
): readonly Observation[] {
  const { songId = '', userId = '' } = (json ?? {}) as { songId?: string; userId?: string };
  const shared = ['SongsAddedToPlaylist', 'SongRemovedFromPlaylist', undefined].includes(effect?.event.type);
  const may = (playlist: Playlist) => (shared ? mayUse(playlist, as.id) : playlist.ownerId === as.id);
  const saw = (what: string, fits: (playlist: Playlist) => boolean) => [about(stream, what, fits)];
  return rejectionObservations(outcome, {
    PLAYLIST_NOT_FOUND: [absent(stream)],
    FORBIDDEN: saw(`that ${as.id} may not do this`, (playlist) => !may(playlist)),
    SONG_NOT_FOUND: [present(stream), absent(songId)],
    SONG_ALREADY_IN_PLAYLIST: saw(`${songId} in it`, (it) => may(it) && entriesOf(it, songId).length > 0),
    SONG_NOT_IN_PLAYLIST: saw(`no ${songId} in it`, (it) => may(it) && entriesOf(it, songId).length === 0),
    ALREADY_COLLABORATOR: saw(`that ${userId} has access`, (it) => may(it) && mayUse(it, userId)),
    COLLABORATION_NOT_FOUND: saw(`no collaborator ${userId}`, (it) => may(it) && !it.collaborators.includes(userId)),
  });
}

/** A song that was added or removed had the title in the record. */
function madeOf({ made }: Answered): Observation[] {
  const event = made?.event;
  const named =
    event?.type === 'SongsAddedToPlaylist' ? event.entries : event?.type === 'SongRemovedFromPlaylist' ? [event] : [];
  return named.map(({ songId: stream, title }) => ({
    stream,
    saw: `it with the title ${title}`,
    fits: (thing) => thing?.title === title,
  }));
}

interface List {
  readonly playlists: readonly { readonly id: string; readonly name: string; readonly username: string }[];
}

const usernameOf = (world: World, account: string) => world.people.get(account)?.username ?? 'deleted';

const indexes = new WeakMap<World, Map<string, string[]>>();

/** Playlists by the people who had access to them in any version. */
function indexOf(world: World): Map<string, string[]> {
  const known = indexes.get(world);
  if (known) return known;
  const index = new Map<string, string[]>();
  for (const { id, states } of world.ofCategory('playlist')) {
    const people = states.flatMap((thing) => (thing ? peopleOf(thing as Playlist) : []));
    for (const person of new Set(people)) index.set(person, [...(index.get(person) ?? []), id]);
  }
  indexes.set(world, index);
  return index;
}

const peopleOf = ({ ownerId, collaborators }: Playlist) => [ownerId, ...collaborators];

function listed({ playlists }: List, as: Person, world: World): Observation[] {
  const belongs = (thing: object) => mayUse(thing as Playlist, as.id);
  const each = listObservations({
    name: `the list of ${as.id}`,
    shown: playlists,
    belongs,
    ever: indexOf(world).get(as.id) ?? [],
    shows({ name, username }, thing) {
      const playlist = thing as Playlist;
      return playlist.name === name && usernameOf(world, playlist.ownerId) === username;
    },
  });
  const twice = playlists.find(({ id }, index) => playlists.findIndex((other) => other.id === id) !== index);
  return twice ? [...each, about(twice.id, 'it twice in a list', () => false)] : each;
}

interface Activities {
  readonly playlistId: string;
  readonly activities: readonly object[];
}

function activities(stream: string, shown: Activities, as: Person, world: World): Observation[] {
  const fits = (playlist: Playlist) =>
    mayUse(playlist, as.id) &&
    isDeepStrictEqual(shown, {
      playlistId: stream,
      activities: playlist.activities.map(({ actor, title, action, time }) => ({
        username: usernameOf(world, actor),
        title,
        action,
        time,
      })),
    });
  return [about(stream, `its activities as ${as.id}: ${JSON.stringify(shown.activities)}`, fits)];
}

interface View {
  readonly playlist: { readonly id: string; readonly name: string; readonly songs: readonly SongSummary[] };
}

/** The songs of the playlist at this version, in order: existing ones with their state, and the absence of the rest. */
function songs(
  stream: string,
  seen: number | undefined,
  { playlist: shown }: View,
  as: Person,
  world: World,
): Observation[] {
  const order = shown.songs.map(({ id }) => id);
  const playlist = about(stream, `version ${seen ?? 'unknown'} of it as ${JSON.stringify(shown)}`, (it, version) => {
    if (version !== seen) return false;
    const { name, ownerId, entries } = it;
    const expected = { id: stream, name, username: usernameOf(world, ownerId), songs: shown.songs };
    const inOrder = entries.map(({ songId }) => songId).filter((id) => order.includes(id));
    const fits = isDeepStrictEqual(shown, expected) && isDeepStrictEqual(order, inOrder);
    return fits && mayUse(it, as.id);
  });
  const { entries = [] } = (world.stream(stream).states[seen ?? 0] ?? {}) as Partial<Playlist>;
  return [
    playlist,
    ...listObservations({
      name: stream,
      shown: shown.songs,
      belongs: () => true,
      shows: isListed,
      ever: entries.map(({ songId }) => songId),
    }),
  ];
}
