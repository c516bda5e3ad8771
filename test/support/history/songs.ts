import { isDeepStrictEqual } from 'node:util';
import type { SongDetails } from '../../../src/events/catalog.ts';
import {
  absent,
  type Answered,
  type Category,
  type Known,
  listObservations,
  present,
  rejectionObservations,
  rowsOfEach,
  type Observation,
  someId,
  sometimesMatching,
  type Thing,
  versionOf,
  write,
} from './category.ts';
import type { PlannedRequest } from './history.ts';
import type { Random } from './random.ts';
import type { World } from './world.ts';

const category = 'song';

export interface SongSummary {
  readonly id: string;
  readonly title: string;
  readonly performer: string;
}

type SongView = SongDetails & { readonly id: string };

/** Few performers, so that lists are short and still change while clients read them. */
const performers = Array.from({ length: 16 }, (_, n) => `Performer ${String(n).padStart(2, '0')}`);

export const details = (random: Random, known: Known): SongDetails => ({
  title: `Song ${random.below(1e6)}`,
  year: 1950 + random.below(80),
  genre: 'Indie',
  performer: random.pick(performers) ?? '',
  duration: random.chance(0.5) ? random.below(600) : null,
  albumId: random.chance(0.7) ? (someId('album', random, known) ?? null) : null,
});

/** All letters of a history are ASCII. */
const foldedOf = ({ title, performer }: Thing) => ({
  folded_title: String(title).toLowerCase(),
  folded_performer: String(performer).toLowerCase(),
});

/** A request leaves a null field out. */
const bodyOf = ({ duration, albumId, ...rest }: SongDetails) => ({
  ...rest,
  ...(duration !== null && { duration }),
  ...(albumId !== null && { albumId }),
});

export const read = (id: string): PlannedRequest => ({ category, method: 'GET', path: `/songs/${id}` });
const list = (performer: string): PlannedRequest => ({
  category,
  method: 'GET',
  path: `/songs?performer=${encodeURIComponent(performer)}`,
});

export function create(song: SongDetails): PlannedRequest {
  return write(category, ['POST', '/songs'], { event: { type: 'SongCreated', ...song } }, bodyOf(song));
}

export function change(on: { readonly stream: string; readonly follows?: number }, song: SongDetails): PlannedRequest {
  const effect = { ...on, event: { type: 'SongChanged', ...song } } as const;
  return write(category, ['PUT', `/songs/${on.stream}`], effect, bodyOf(song));
}

function next(random: Random, known: Known): PlannedRequest {
  const choice = random.next();
  const stream = someId(category, random, known);
  const song = details(random, known);
  if (choice < 0.2 || stream === undefined) return create(song);
  if (choice < 0.45) return read(stream);
  if (choice < 0.6) return list(song.performer);
  const path = `/songs/${stream}`;
  const on = { stream, follows: sometimesMatching(stream, random, known) };
  if (choice > 0.95) return write(category, ['DELETE', path], { ...on, event: { type: 'SongDeleted' } });
  return change(on, song);
}

function observations(request: PlannedRequest, outcome: Answered, world: World): readonly Observation[] {
  const [, stream] = /^\/songs\/(.+)$/.exec(request.path) ?? [];
  if (outcome.kind === 'refused') {
    const gone = stream === undefined ? [] : [absent(stream)];
    return rejectionObservations(outcome, { SONG_NOT_FOUND: gone, ALBUM_NOT_FOUND: albumOf(request).map(absent) });
  }
  if (request.effect) return albumOf(request).map(present);
  const { data } = outcome.body as { data: { song: SongView; songs: SongSummary[] } };
  if (stream !== undefined) return songSightings(stream, versionOf(outcome.etag), data.song, world);
  const performer = new URL(request.path, 'http://any').searchParams.get('performer') ?? '';
  return songsOf(data.songs, { performer }, world);
}

function albumOf({ effect }: PlannedRequest): string[] {
  const { albumId } = (effect?.event ?? {}) as { albumId?: string | null };
  return albumId == null ? [] : [albumId];
}

/** A song shows its album while the album exists. */
function songSightings(stream: string, seen: number | undefined, shown: SongView, world: World): Observation[] {
  const saw = `version ${seen ?? 'unknown'} of it as ${JSON.stringify(shown)}`;
  const song: Observation = {
    stream,
    saw,
    fits(thing, version) {
      if (thing === undefined || version !== seen) return false;
      const albumId = shown.albumId === null ? null : thing.albumId;
      return isDeepStrictEqual(shown, { id: stream, ...thing, albumId });
    },
  };
  const album = world.stream(stream).states[seen ?? 0]?.albumId;
  if (typeof album !== 'string') return [song];
  return [song, shown.albumId === null ? absent(album) : present(album)];
}

type Filter = Readonly<Partial<Record<'albumId' | 'performer', string>>>;

/** What a list shows of every song that ever belonged in it. */
export function songsOf(shown: readonly SongSummary[], filter: Filter, world: World): Observation[] {
  const wanted = Object.entries(filter);
  return listObservations({
    name: `a list of ${JSON.stringify(filter)}`,
    shown,
    ever: wanted.flatMap(([field, value]) => indexOf(world).get(`${field} ${value}`) ?? []),
    belongs: (thing) => wanted.every(([field, value]) => thing[field] === value),
    shows: isListed,
  });
}

const indexes = new WeakMap<World, Map<string, string[]>>();

/** Songs by the terms that listed them in any version: the absence of a song that never matched says nothing. */
function indexOf(world: World): Map<string, string[]> {
  const known = indexes.get(world);
  if (known) return known;
  const index = new Map<string, string[]>();
  for (const { id, states } of world.ofCategory(category)) {
    const keys = states.flatMap((thing) => [
      `albumId ${String(thing?.albumId)}`,
      `performer ${String(thing?.performer)}`,
    ]);
    for (const key of new Set(keys)) index.set(key, [...(index.get(key) ?? []), id]);
  }
  indexes.set(world, index);
  return index;
}

export const isListed = ({ title, performer }: SongSummary, thing: Thing | undefined) =>
  thing?.title === title && thing.performer === performer;

export const songs: Category = {
  name: category,
  weight: 3,
  next,
  created: (body) => (body as { data?: { songId?: string } }).data?.songId,
  evolve(thing, { event }): Thing | undefined {
    switch (event.type) {
      case 'SongCreated':
      case 'SongChanged': {
        const { title, year, genre, performer, duration, albumId } = event;
        return { title, year, genre, performer, duration, albumId };
      }
      case 'SongDeleted':
        return undefined;
      default:
        return thing;
    }
  },
  allows: (thing, { event }) => (event.type === 'SongCreated') === (thing === undefined),
  observations: observations,
  reads: (world) => [...world.ofCategory(category).map(({ id }) => read(id)), ...performers.map(list)],
  tables: [
    {
      name: 'songs',
      key: 'id',
      rows: rowsOfEach(category, ({ albumId, ...song }, id, version) => [
        { id, version, ...song, album_id: albumId, ...foldedOf(song) },
      ]),
    },
  ],
};
