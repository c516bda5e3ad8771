import { likeOf } from '../../../src/events/likes.ts';
import {
  absent,
  type Answered,
  type Category,
  type Known,
  present,
  rejectionObservations,
  rowsOfEach,
  someId,
  write,
} from './category.ts';
import type { Person, PlannedRequest } from './history.ts';
import type { Random } from './random.ts';

const category = 'like';
const TALLY = 'likes';

const pathOf = (album: string) => `/albums/${album}/likes`;
const albumIn = ({ path }: PlannedRequest) => path.split('/')[2] ?? '';

function next(random: Random, known: Known): PlannedRequest | undefined {
  const album = someId('album', random, known);
  const as = random.pick(known.people);
  if (album === undefined || !as) return undefined;
  return random.chance(0.65) ? like(album, as) : unlike(album, as);
}

export const like = (albumId: string, as: Person): PlannedRequest => likeRequest('POST', 'AlbumLiked', albumId, as);
const unlike = (albumId: string, as: Person): PlannedRequest => likeRequest('DELETE', 'AlbumUnliked', albumId, as);

function likeRequest(
  method: 'POST' | 'DELETE',
  type: 'AlbumLiked' | 'AlbumUnliked',
  albumId: string,
  as: Person,
): PlannedRequest {
  const event = { type, albumId, accountId: as.id };
  return { ...write(category, [method, pathOf(albumId)], { stream: likeOf(albumId, as.id), event }), as };
}

/** Whether a person likes an album. */
export const likes: Category = {
  name: category,
  weight: 2,
  next,
  created: () => undefined,
  evolve: (_, { event }) =>
    event.type === 'AlbumLiked' ? { albumId: event.albumId, accountId: event.accountId } : undefined,
  allows: (thing, { event, actor }) =>
    (event.type === 'AlbumLiked') === (thing === undefined) && 'accountId' in event && event.accountId === actor,
  tally: (stream) => stream.replace(/^like-(.+)-user-.+$/, `${TALLY}-$1`),
  observations(request, outcome) {
    const album = albumIn(request);
    if (outcome.kind === 'ok') return [present(album)];
    const stream = request.effect?.stream ?? '';
    return rejectionObservations(outcome, {
      ALBUM_NOT_FOUND: [absent(album)],
      ALREADY_LIKED: [present(album), present(stream)],
      NOT_LIKED: [present(album), absent(stream)],
    });
  },
  reads: () => [],
  tables: [
    {
      name: 'likes',
      key: 'id',
      rows: rowsOfEach(category, ({ albumId, accountId }, id) => [{ id, liked_id: albumId, account_id: accountId }]),
    },
  ],
};

export const count = (album: string): PlannedRequest => ({ category: TALLY, method: 'GET', path: pathOf(album) });

const albumOf = (tally: string) => tally.slice(TALLY.length + 1);

/** The number of likes of an album: a total, each version of which is one like more or less. */
export const likeCounts: Category = {
  name: TALLY,
  weight: 2,
  next(random, known) {
    const album = someId('album', random, known);
    return album === undefined ? undefined : count(album);
  },
  created: () => undefined,
  evolve: (thing, { event }) => ({ likes: Number(thing?.likes ?? 0) + (event.type === 'AlbumLiked' ? 1 : -1) }),
  allows: () => true,
  observations(request, outcome: Answered) {
    const album = albumIn(request);
    if (outcome.kind === 'refused') return rejectionObservations(outcome, { ALBUM_NOT_FOUND: [absent(album)] });
    const { likes: shown } = (outcome.body as { data: { likes: number } }).data;
    const fits = (thing: object | undefined) => shown === ((thing as { likes?: number } | undefined)?.likes ?? 0);
    return [present(album), { stream: `${TALLY}-${album}`, saw: `${shown} likes`, fits }];
  },
  reads: (world) => world.ofCategory('album').map(({ id }) => count(id)),
  tables: [
    {
      name: 'like_counts',
      key: 'liked_id',
      rows: rowsOfEach(TALLY, ({ likes: counted }, tally) => [{ liked_id: albumOf(tally), likes: counted }]),
    },
  ],
};
