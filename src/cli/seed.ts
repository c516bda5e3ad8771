import { createHash, createHmac } from 'node:crypto';
import path from 'node:path';
import { z } from 'zod';
import { type Config, loadConfig } from '../config.ts';
import { keysOf } from '../keys.ts';
import { type Api, apiAt, openAdminApi } from './admin-api.ts';
import { print, printError } from './print.ts';
import { ALBUMS, PEOPLE, PLAYLISTS, type SampleAlbum, type SamplePlaylist } from './sample-data.ts';

export interface SeedOptions {
  /** Base of the API; the public one unless it is given. */
  readonly url?: string;
}

/** A listener who is logged in. */
interface Listener {
  readonly id: string;
  readonly api: Api;
}

const albumMade = z.object({ albumId: z.string() });
const songMade = z.object({ songId: z.string() });
const userMade = z.object({ userId: z.string() });
const loggedIn = z.object({ accessToken: z.string() });
const playlistMade = z.object({ playlistId: z.string() });

/**
 * Loads the sample data through the running API. Every command has an idempotency key of its own, so a second run finds
 * everything as it is and changes nothing. Resolves to the exit code.
 */
export async function seed({ url }: SeedOptions): Promise<number> {
  try {
    const config = loadConfig();
    if (config.NODE_ENV === 'production') throw new Error('Sample data is not for production (NODE_ENV).');
    await load(config, url ?? config.publicUrl);
    return 0;
  } catch (error) {
    printError(error);
    return 1;
  }
}

async function load(config: Config, base: string): Promise<void> {
  const admin = await openAdminApi(config, base);
  const albums = new Map<string, string>();
  const songs = new Map<string, string>();
  for (const album of ALBUMS) albums.set(album.name, await createAlbum(admin, album, songs));
  const passwordOf = await passwords(config);
  const listeners = new Map<string, Listener>();
  for (const { username, fullname } of PEOPLE) {
    listeners.set(username, await register(base, { username, fullname, password: passwordOf(username) }));
  }
  for (const { username, likes } of PEOPLE) {
    for (const name of likes) await like(found(listeners, username), found(albums, name), `${username} ${name}`);
  }
  for (const playlist of PLAYLISTS) await createPlaylist(playlist, listeners, songs);
  print(
    `${ALBUMS.length} albums, ${songs.size} songs and ${PLAYLISTS.length} playlists are there. These accounts can log in:`,
  );
  for (const { username } of PEOPLE) print(`  ${username.padEnd(8)} password ${passwordOf(username)}`);
}

async function createAlbum({ call }: Api, album: SampleAlbum, songs: Map<string, string>): Promise<string> {
  const { name, year, performer, genre } = album;
  const { albumId } = await call('POST', '/albums', albumMade, { name, year }, keyOf('album', name));
  for (const [title, duration] of album.songs) {
    const song = { title, year, genre, performer, duration, albumId };
    songs.set(title, (await call('POST', '/songs', songMade, song, keyOf('song', name, title))).songId);
  }
  return albumId;
}

async function register(base: string, person: { username: string; password: string; fullname: string }) {
  const { username, password } = person;
  const anyone = apiAt(base);
  const { userId } = await anyone.call('POST', '/users', userMade, person, keyOf('user', username));
  const { accessToken } = await anyone.call('POST', '/authentications', loggedIn, { username, password });
  return { id: userId, api: apiAt(base, accessToken) };
}

/** A like can be taken back by its listener, who would then find it back after a second run: a command under a key happens once. */
async function like({ api }: Listener, albumId: string, name: string): Promise<void> {
  await api.call('POST', `/albums/${albumId}/likes`, z.unknown(), undefined, keyOf('like', name));
}

async function createPlaylist(
  { name, owner, collaborators, songs: titles }: SamplePlaylist,
  listeners: ReadonlyMap<string, Listener>,
  songs: ReadonlyMap<string, string>,
): Promise<void> {
  const { call } = found(listeners, owner).api;
  const { playlistId } = await call('POST', '/playlists', playlistMade, { name }, keyOf('playlist', name));
  for (const username of collaborators) {
    const body = { playlistId, userId: found(listeners, username).id };
    await call('POST', '/collaborations', z.unknown(), body, keyOf('collaboration', name, username));
  }
  for (const title of titles) {
    const body = { songId: found(songs, title) };
    await call('POST', `/playlists/${playlistId}/songs`, z.unknown(), body, keyOf('playlist-song', name, title));
  }
}

/** The same at each run, and known only where the server's keys are. */
async function passwords(config: Config): Promise<(username: string) => string> {
  const { ACCESS_TOKEN_KEY } = await keysOf(config, path.resolve(config.DATA_DIR));
  return (username) =>
    createHmac('sha256', ACCESS_TOKEN_KEY).update(`sample data ${username}`).digest('base64url').slice(0, 16);
}

/** Long enough for clients that are not logged in, and of characters that a header can carry. */
const keyOf = (...parts: readonly string[]): string =>
  `sample-data-of-openmusic-${createHash('sha256').update(JSON.stringify(parts)).digest('hex').slice(0, 32)}`;

function found<Value>(values: ReadonlyMap<string, Value>, name: string): Value {
  const value = values.get(name);
  if (value === undefined) throw new Error(`The sample data names "${name}", which it does not have.`);
  return value;
}
