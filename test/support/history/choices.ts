import { read as readAlbum } from './albums.ts';
import { categories } from './categories.ts';
import { type Known, someId } from './category.ts';
import type { PlannedRequest } from './history.ts';
import { count } from './likes.ts';
import { addSong, create as createPlaylist, list, read as readPlaylist, removeSong } from './playlists.ts';
import type { Random } from './random.ts';
import { change, create as createSong, details, read as readSong } from './songs.ts';

/** The next request of a client; undefined: none at the moment. */
export type Choice = (random: Random, known: Known) => PlannedRequest | undefined;

const lots = categories.flatMap((category) => Array.from({ length: category.weight }, () => category));

/** Any request there is. */
export const anything: Choice = (random, known) => random.pick(lots)?.next(random, known);

/** The reads among the choices. */
export const readsOf =
  (choice: Choice): Choice =>
  (random, known) => {
    const request = choice(random, known);
    return request?.effect ? undefined : request;
  };

const about =
  (category: string, request: (id: string) => PlannedRequest): Choice =>
  (random, known) => {
    const id = someId(category, random, known);
    return id === undefined ? undefined : request(id);
  };

const cached: readonly Choice[] = [
  about('album', readAlbum),
  about('album', count),
  about('song', readSong),
  songsOfPlaylist,
  listOfPlaylists,
];

function songsOfPlaylist(random: Random, known: Known): PlannedRequest | undefined {
  const id = someId('playlist', random, known);
  const as = id !== undefined && random.chance(0.8) ? known.maker(id) : random.pick(known.people);
  return id !== undefined && as ? readPlaylist(id, 'songs', as) : undefined;
}

function listOfPlaylists(random: Random, known: Known): PlannedRequest | undefined {
  const as = random.pick(known.people);
  return as && list(as);
}

/** Reads that the cache can answer, each kind equally often; where none of a kind exists yet, the next kind. */
export const readsOfCached: Choice = (random, known) => {
  const first = random.below(cached.length);
  for (const read of [...cached.slice(first), ...cached.slice(0, first)]) {
    const request = read(random, known);
    if (request) return request;
  }
  return undefined;
};

/** Few enough that all clients meet at them. */
const FEW = 3;

/** Songs are renamed while other clients add them to playlists and remove them. */
export const renamesWhileAdding: Choice = (random, known) => {
  const [songs, playlists] = [known.ids('song'), known.ids('playlist')];
  const as = random.pick(known.people);
  if (!as) return undefined;
  if (songs.length < FEW) return createSong(details(random, known));
  if (playlists.length < FEW) return createPlaylist(as, 'Contested');
  const [song, stream] = [random.pick(songs.slice(0, FEW)) ?? '', random.pick(playlists.slice(0, FEW)) ?? ''];
  const owner = known.maker(stream) ?? as;
  const choice = random.next();
  if (choice < 0.4) return change({ stream: song }, details(random, known));
  return choice < 0.75 ? addSong({ stream }, song, owner) : removeSong({ stream }, song, owner);
};
