import { isDeepStrictEqual } from 'node:util';
import type { AlbumDetails } from '../../../src/events/catalog.ts';
import {
  absent,
  type Answered,
  type Category,
  type Known,
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
import { type SongSummary, songsOf } from './songs.ts';
import type { World } from './world.ts';

const category = 'album';

interface AlbumView extends AlbumDetails {
  readonly id: string;
  readonly coverUrl: string | null;
  readonly songs: readonly SongSummary[];
}

const details = (random: Random): AlbumDetails => ({
  name: `Album ${random.below(1e6)}`,
  year: 1950 + random.below(80),
});

export const read = (id: string): PlannedRequest => ({ category, method: 'GET', path: `/albums/${id}` });

function next(random: Random, known: Known): PlannedRequest {
  const choice = random.next();
  const stream = someId(category, random, known);
  const json = details(random);
  if (choice < 0.15 || stream === undefined) {
    return write(category, ['POST', '/albums'], { event: { type: 'AlbumCreated', ...json } }, json);
  }
  if (choice < 0.6) return read(stream);
  const path = `/albums/${stream}`;
  const on = { stream, follows: sometimesMatching(stream, random, known) };
  if (choice > 0.95) return write(category, ['DELETE', path], { ...on, event: { type: 'AlbumDeleted' } });
  return write(category, ['PUT', path], { ...on, event: { type: 'AlbumChanged', ...json } }, json);
}

function observations(request: PlannedRequest, outcome: Answered, world: World): readonly Observation[] {
  const stream = request.path.replace('/albums/', '');
  if (outcome.kind === 'refused') return rejectionObservations(outcome, { ALBUM_NOT_FOUND: [absent(stream)] });
  if (request.method !== 'GET') return [];
  const { data } = outcome.body as { data: { album: AlbumView } };
  return [
    albumSighting(stream, versionOf(outcome.etag), data.album),
    ...songsOf(data.album.songs, { albumId: stream }, world),
  ];
}

function albumSighting(stream: string, seen: number | undefined, album: AlbumView): Observation {
  const shown = { ...album, songs: undefined };
  return {
    stream,
    saw: `version ${seen ?? 'unknown'} of it as ${JSON.stringify(shown)}`,
    fits: (thing, version) =>
      thing !== undefined &&
      version === seen &&
      isDeepStrictEqual(shown, { id: stream, coverUrl: null, songs: undefined, ...thing }),
  };
}

export const albums: Category = {
  name: category,
  weight: 3,
  next,
  created: (body) => (body as { data?: { albumId?: string } }).data?.albumId,
  evolve(thing, { event }): Thing | undefined {
    switch (event.type) {
      case 'AlbumCreated':
      case 'AlbumChanged':
        return { name: event.name, year: event.year };
      case 'AlbumDeleted':
        return undefined;
      default:
        return thing;
    }
  },
  allows: (thing, { event }) => (event.type === 'AlbumCreated') === (thing === undefined),
  observations: observations,
  reads: (world) => world.ofCategory(category).map(({ id }) => read(id)),
  tables: [
    {
      name: 'albums',
      key: 'id',
      rows: rowsOfEach(category, ({ name, year }, id, version) => [{ id, version, name, year, cover: null }]),
    },
  ],
};
