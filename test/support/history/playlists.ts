import { type Category, type Known, someId, sometimesMatching, type Thing, write } from './category.ts';
import type { Person, PlannedRequest } from './history.ts';
import { allows, evolve, mayUse, type Playlist } from './playlist.ts';
import { playlistObservations } from './playlist-answers.ts';
import type { Random } from './random.ts';
import type { Stream, World } from './world.ts';

const category = 'playlist';

function next(random: Random, known: Known): PlannedRequest | undefined {
  const stream = someId(category, random, known);
  const songId = someId('song', random, known);
  const person = random.pick(known.people);
  if (!person) return undefined;
  if (stream === undefined || songId === undefined || random.chance(0.08)) return create(person, nameOf(random));
  const as = random.chance(0.6) ? (known.maker(stream) ?? person) : person;
  const choice = random.next();
  if (choice < 0.1) return list(as);
  if (choice < 0.4) return read(stream, random.chance(0.5) ? 'songs' : 'activities', as);
  if (choice < 0.6) return share(stream, random, known, as);
  const on = { stream, follows: sometimesMatching(stream, random, known) };
  if (choice < 0.63)
    return { ...write(category, ['DELETE', pathOf(stream)], { ...on, event: { type: 'PlaylistDeleted' } }), as };
  if (choice < 0.7) return rename(on, nameOf(random), as);
  if (random.chance(0.6)) return addSong(on, songId, as);
  return removeSong(on, sentOrElse('songId', stream, songId, random, known), as);
}

const nameOf = (random: Random) => `Playlist ${random.below(1e6)}`;
const pathOf = (stream: string) => `/playlists/${stream}`;

export const list = (as: Person): PlannedRequest => ({ category, method: 'GET', path: '/playlists', as });
export const read = (stream: string, what: 'songs' | 'activities', as: Person): PlannedRequest => ({
  category,
  method: 'GET',
  path: `${pathOf(stream)}/${what}`,
  as,
});

export const create = (as: Person, name: string): PlannedRequest => ({
  ...write(category, ['POST', '/playlists'], { event: { type: 'PlaylistCreated', name, ownerId: as.id } }, { name }),
  as,
});

interface On {
  readonly stream: string;
  readonly follows?: number;
}

const rename = (on: On, name: string, as: Person): PlannedRequest => ({
  ...write(category, ['PATCH', pathOf(on.stream)], { ...on, event: { type: 'PlaylistChanged', name } }, { name }),
  as,
});

export function addSong(on: On, songId: string, as: Person): PlannedRequest {
  const effect = { ...on, event: { type: 'SongsAddedToPlaylist', entries: [{ songId }] } } as const;
  return { ...write(category, ['POST', `${pathOf(on.stream)}/songs`], effect, { songId }), as };
}

export function removeSong(on: On, songId: string, as: Person): PlannedRequest {
  const effect = { ...on, event: { type: 'SongRemovedFromPlaylist', songId } } as const;
  return { ...write(category, ['DELETE', `${pathOf(on.stream)}/songs`], effect, { songId }), as };
}

function share(stream: string, random: Random, known: Known, as: Person): PlannedRequest {
  const userId = random.pick(known.people)?.id ?? '';
  if (random.chance(0.5)) return addCollaborator(stream, userId, as);
  return removeCollaborator(stream, sentOrElse('userId', stream, userId, random, known), as);
}

/** Mostly a song that was added before, so that there is something to remove. */
function sentOrElse(field: 'songId' | 'userId', stream: string, other: string, random: Random, known: Known): string {
  const before = known.sent(stream)[field];
  return typeof before === 'string' && random.chance(0.7) ? before : other;
}

export function addCollaborator(stream: string, userId: string, as: Person): PlannedRequest {
  const effect = { stream, event: { type: 'CollaboratorAdded', accountId: userId } } as const;
  return { ...write(category, ['POST', '/collaborations'], effect, { playlistId: stream, userId }), as };
}

export function removeCollaborator(stream: string, userId: string, as: Person): PlannedRequest {
  const effect = { stream, event: { type: 'CollaboratorRemoved', accountId: userId } } as const;
  return { ...write(category, ['DELETE', '/collaborations'], effect, { playlistId: stream, userId }), as };
}

/** Every person's list; and each playlist as seen by all who ever had access to it, and by one who never had. */
function reads(world: World): PlannedRequest[] {
  const people = [...world.people.values()];
  const each = world.ofCategory(category).flatMap(({ id, states }) => {
    const had = people.filter(({ id: account }) => states.some((thing) => thing && mayUse(thing as Playlist, account)));
    const stranger = people.filter((person) => !had.includes(person)).slice(0, 1);
    return [...had, ...stranger].flatMap((as) => [read(id, 'songs', as), read(id, 'activities', as)]);
  });
  return [...people.map(list), ...each];
}

/** The contents of a playlist stay when it is deleted, because it can be restored. */
const remainsOfEach =
  (rows: (playlist: Playlist, stream: Stream) => readonly Thing[]) =>
  (world: World): Thing[] =>
    world.ofCategory(category).flatMap((stream) => {
      const last = stream.states.findLast((thing) => thing !== undefined);
      return last ? rows(last as Playlist, stream) : [];
    });

/** When the playlist was deleted; null while it exists. */
const deletedAt = ({ accepted, states }: Stream): Date | null =>
  states.at(-1) === undefined ? new Date(accepted[states.length - 2]?.time ?? 0) : null;

export const playlists: Category = {
  name: category,
  weight: 5,
  next,
  created: (body) => (body as { data?: { playlistId?: string } }).data?.playlistId,
  evolve,
  allows,
  observations: playlistObservations,
  reads,
  tables: [
    {
      name: 'playlists',
      key: 'id',
      rows: remainsOfEach(({ name, ownerId }, stream) => [
        {
          id: stream.id,
          version: stream.states.length - 1,
          name,
          owner_id: ownerId,
          entries_version: 1,
          deleted_at: deletedAt(stream),
        },
      ]),
    },
    {
      name: 'playlist_entries',
      key: 'id',
      rows: remainsOfEach(({ entries, removed }, { id: playlist_id }) =>
        [...entries, ...removed.map((entry) => ({ ...entry, version: 0 }))].map(
          ({ entryId, songId, orderKey, version }) => ({
            id: entryId,
            playlist_id,
            order_key: orderKey,
            version,
            song_id: songId,
          }),
        ),
      ),
    },
    {
      name: 'collaborations',
      key: 'id',
      rows: remainsOfEach(({ collaborators }, { id: playlist_id }) =>
        collaborators.map((account_id) => ({ id: `${playlist_id}/${account_id}`, playlist_id, account_id })),
      ),
    },
    {
      name: 'playlist_activities',
      key: 'id',
      rows: remainsOfEach(({ activities }, { id: playlist_id }) =>
        activities.map(({ time, ...rest }) => ({
          id: `${playlist_id}/${rest.version}/${rest.place}`,
          playlist_id,
          time: new Date(time),
          ...rest,
        })),
      ),
    },
  ],
};
