import { randomUUID } from 'node:crypto';

/** The album that every figure creates. */
export const ALBUM = { name: 'Viva la Vida', year: 2008 } as const;

/** The song that every figure creates. */
export const SONG = { title: 'Life in Technicolor', year: 2008, genre: 'Indie', performer: 'Coldplay' } as const;

/** The request that creates it, as a load sends it. */
export const CREATE_ALBUM = { method: 'POST', paths: ['/albums'], body: JSON.stringify(ALBUM) } as const;

/** Creates an album, and returns the answer. */
export const createAlbum = (url: string): Promise<Answer> => post(url, '/albums', ALBUM);

/** Creates a song, and returns its id. */
export const createSong = async (url: string, albumId?: string, details: object = {}): Promise<string> =>
  createdId(await post(url, '/songs', { ...SONG, ...details, albumId }));

/** Creates a playlist, and returns the path of its songs. */
export const createPlaylist = async (url: string, token: string): Promise<string> =>
  `/playlists/${createdId(await post(url, '/playlists', { name: 'Morning' }, token))}/songs`;

/** An answer of our API. */
export interface Answer {
  readonly status: number;
  readonly text: string;
}

export async function post(url: string, path: string, body: object, token?: string): Promise<Answer> {
  const headers = { 'content-type': 'application/json', ...bearer(token) };
  return answerOf(await fetch(url + path, { method: 'POST', headers, body: JSON.stringify(body) }));
}

export const get = async (url: string, path: string, token?: string): Promise<Answer> =>
  answerOf(await fetch(url + path, { headers: bearer(token) }));

const bearer = (token?: string): Record<string, string> =>
  token === undefined ? {} : { authorization: `Bearer ${token}` };

/** Registers a new user, and returns an access token. */
export async function register(url: string): Promise<string> {
  const [username, password] = [`bench${randomUUID().replaceAll('-', '')}`, 'secret'];
  createdId(await post(url, '/users', { username, password, fullname: 'A Listener' }));
  return createdId(await post(url, '/authentications', { username, password }));
}

const answerOf = async (response: Response): Promise<Answer> => ({
  status: response.status,
  text: await response.text(),
});

/** The id of what a request created, or the first other value of the answer. */
export function createdId(answer: Answer): string {
  const text = created(answer);
  const [id] = Object.values((JSON.parse(text) as { data: Record<string, string> }).data);
  if (id === undefined) throw new Error(`created, without an id: ${text}`);
  return id;
}

/** The text of an answer. Throws unless its status is 201. */
export function created({ status, text }: Answer): string {
  if (status !== 201) throw new Error(`not created: ${status} ${text}`);
  return text;
}

/** Concurrent requests while a figure is prepared. */
const CONCURRENCY = 50;

export async function forAll<T, R>(items: readonly T[], once: (item: T) => Promise<R>): Promise<R[]> {
  const all: R[] = [];
  while (all.length < items.length) {
    all.push(...(await Promise.all(items.slice(all.length, all.length + CONCURRENCY).map(once))));
  }
  return all;
}

export const times = <T>(count: number, once: () => Promise<T>): Promise<T[]> =>
  forAll(Array.from({ length: count }), once);

/** Creates albums with songs on them, and returns their paths. */
export const createAlbums = (url: string, count: number, songs: number): Promise<string[]> =>
  times(count, async () => {
    const albumId = createdId(await createAlbum(url));
    for (let n = 0; n < songs; n++) await createSong(url, albumId);
    return `/albums/${albumId}`;
  });
