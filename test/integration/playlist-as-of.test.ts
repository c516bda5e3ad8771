import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import type { AnyEvent } from '../../src/events/events.ts';
import { newId, idFromCommand } from '../../src/events/ids.ts';
import type { LogRecord } from '../../src/events/record.ts';
import { currentPositions, playlistAsOf, type PlaylistPosition } from '../../src/projections/playlist-as-of.ts';
import { findPlaylist, playlistsOf, readersOf } from '../../src/projections/playlists.ts';
import { type Api, claim, type Core, openCore } from '../support/core.ts';
import { createDatabase, type TestDatabase } from '../support/servers/index.ts';

let server: TestDatabase;
let core: Core;
let api: Api;

beforeAll(async () => {
  server = await createDatabase();
  core = await openCore({ connection: server.connection, partitions: 3 });
  api = await core.openApi();
});
afterAll(async () => {
  await core.close();
  await server.drop();
});

/** The last record of each stream. */
const heads = new Map<string, LogRecord & { id: string; version: number }>();

/** Appends valid events to one stream, and waits until they are visible. */
async function tell(stream: string, ...events: readonly AnyEvent[]): Promise<void> {
  for (const event of events) {
    const { version = 0, id = '' } = heads.get(stream) ?? {};
    const record = claim({ stream, version: version + 1, prev: id, event });
    heads.set(stream, { ...record, version: version + 1 });
    await core.append(core.placement.place(stream), record);
  }
  await core.settled();
}

const details = { year: 2000, genre: 'Rock', duration: null, albumId: null };
const about = { songId: 'song-1', ...details };
const created = (title: string): AnyEvent => ({ type: 'SongCreated', title, performer: `${title} Band`, ...about });
const changed = (title: string): AnyEvent => ({ type: 'SongChanged', title, performer: `${title} Band`, ...about });
const deleted: AnyEvent = { type: 'SongDeleted', songId: 'song-1', title: 't', performer: 'p', year: 2000 };
/** Keys in the order of requests. */
let keys = 0;
const nextKey = () => `k${String((keys += 1)).padStart(6, '0')}`;
const added = (songId: string, entryId = newId(), orderKey = nextKey()): AnyEvent => ({
  type: 'SongsAddedToPlaylist',
  playlistId: playlist,
  rekeyed: [],
  entries: [{ entryId, songId, title: 'as it was added', orderKey }],
});
const removed = (songId: string, ...entryIds: string[]): AnyEvent => ({
  type: 'SongRemovedFromPlaylist',
  playlistId: playlist,
  songId,
  entryIds,
  title: 'as it was added',
  performer: 'p',
  year: 2000,
});
const visible = { description: null, visibility: 'private' };
const begun = (name: string): AnyEvent => ({
  type: 'PlaylistCreated',
  playlistId: playlist,
  name,
  ownerId: 'user-1',
  ...visible,
});

const newSong = () => idFromCommand('song', newId());
let playlist: string;

beforeEach(async () => {
  playlist = idFromCommand('playlist', newId());
  await tell(playlist, begun('Morning'));
});

/** Songs in the playlist, at least one in each partition of the catalog. */
async function addSongs(...titles: readonly string[]): Promise<string[]> {
  const songs = titles.map((_, index) => core.streamIn(index % 3, 'song'));
  for (const [index, title] of titles.entries()) await tell(songs[index]!, created(title));
  await tell(playlist, ...songs.map((song) => added(song)));
  return songs;
}

async function nowOf(id: string) {
  const [position, twice] = await currentPositions(api.reads, [id, id], `${core.namespace}.catalog`);
  expect(twice).toEqual(position);
  return position;
}

async function now(): Promise<PlaylistPosition> {
  const position = await nowOf(playlist);
  const { ownerId, ...rest } = position!;
  expect(ownerId).toBe('user-1');
  return rest;
}

async function shown(position: PlaylistPosition) {
  const found = await playlistAsOf(api.reads, position);
  return found && { name: found.name, titles: found.songs.map(({ title }) => title) };
}

describe('a playlist is shown as it was', () => {
  it('with its songs in order, each with its current title', async () => {
    const songs = await addSongs('Yellow', 'Trouble', 'Sparks', 'Shiver');
    expect(await playlistAsOf(api.reads, await now())).toEqual({
      id: playlist,
      name: 'Morning',
      songs: ['Yellow', 'Trouble', 'Sparks', 'Shiver'].map((title, index) => ({
        id: songs[index]!,
        title,
        performer: `${title} Band`,
      })),
    });
  });

  it('when it is empty', async () => {
    expect(await shown(await now())).toEqual({ name: 'Morning', titles: [] });
  });

  it('before it was renamed, shared and deleted', async () => {
    await addSongs('Yellow');
    const position = await now();
    await tell(
      playlist,
      { type: 'PlaylistChanged', playlistId: playlist, name: 'Evening', ...visible, linkId: null },
      { type: 'CollaboratorAdded', playlistId: playlist, collaborationId: 'collab-1', accountId: 'user-2' },
    );
    const after = await now();
    await tell(playlist, { type: 'PlaylistDeleted', playlistId: playlist, name: 'Evening' });
    expect(await shown(position)).toEqual({ name: 'Morning', titles: ['Yellow'] });
    expect(await shown(after)).toEqual({ name: 'Evening', titles: ['Yellow'] });
    expect(await nowOf(playlist)).toBeUndefined();
  });

  it('before songs were added and removed', async () => {
    const [yellow] = await addSongs('Yellow', 'Trouble');
    const position = await now();
    const entry = newId();
    const sparks = newSong();
    await tell(sparks, created('Sparks'));
    await tell(playlist, added(sparks), added(yellow!, entry));
    const more = await now();
    await tell(playlist, removed(sparks), removed(yellow!, entry));
    expect(await shown(position)).toMatchObject({ titles: ['Yellow', 'Trouble'] });
    expect(await shown(more)).toMatchObject({ titles: ['Yellow', 'Trouble', 'Sparks', 'Yellow'] });
    expect(await shown(await now())).toMatchObject({ titles: ['Yellow', 'Trouble', 'Sparks'] });
  });

  it('with a song that is in it twice, until both entries are removed', async () => {
    const song = newSong();
    const [one, two] = [newId(), newId()];
    await tell(song, created('Yellow'));
    await tell(playlist, added(song, one), added(song, two));
    const position = await now();
    await tell(playlist, removed(song, one, two));
    expect(await shown(position)).toMatchObject({ titles: ['Yellow', 'Yellow'] });
    expect(await shown(await now())).toMatchObject({ titles: [] });
  });

  it('before songs were renamed, in any partition, and after', async () => {
    const songs = await addSongs('Yellow', 'Trouble', 'Sparks');
    const position = await now();
    for (const song of songs) await tell(song, changed('Another'), changed('And another'));
    expect(await shown(position)).toMatchObject({ titles: ['Yellow', 'Trouble', 'Sparks'] });
    expect(await shown(await now())).toMatchObject({ titles: ['And another', 'And another', 'And another'] });
  });

  it('before a song was deleted, and without it after', async () => {
    const [, trouble] = await addSongs('Yellow', 'Trouble');
    const position = await now();
    await tell(trouble!, deleted);
    expect(await shown(position)).toMatchObject({ titles: ['Yellow', 'Trouble'] });
    expect(await shown(await now())).toMatchObject({ titles: ['Yellow'] });
  });

  it('without a song that was created later', async () => {
    const song = newSong();
    await tell(playlist, added(song)); // it was decided on a song that another reader of the log does not see yet
    const position = await now();
    await tell(song, created('Yellow'));
    expect(await shown(position)).toMatchObject({ titles: [] });
    expect(await shown(await now())).toMatchObject({ titles: ['Yellow'] });
  });

  it('unaffected by changes of other songs and playlists', async () => {
    await addSongs('Yellow');
    const position = await now();
    const before = playlist;
    playlist = idFromCommand('playlist', newId());
    await tell(playlist, begun('Other'));
    await addSongs('Trouble', 'Sparks');
    expect(await shown(position)).toEqual({ name: 'Morning', titles: ['Yellow'] });
    expect(position.playlistId).toBe(before);
  });
});

it('by a position that names every partition of the catalog', async () => {
  const { catalog, version } = await now();
  const ends = await core.log.ends([0, 1, 2].map((partition) => core.catalog(partition)));
  expect(catalog).toEqual(ends.map(({ offset }) => offset));
  expect(version).toBe(1);
});

describe('nothing is shown', () => {
  it('at a position whose events are not all present', async () => {
    await addSongs('Yellow');
    const position = await now();
    expect(await playlistAsOf(api.reads, { ...position, version: position.version + 1 })).toBeUndefined();
    expect(
      await playlistAsOf(api.reads, { ...position, playlistId: idFromCommand('playlist', newId()) }),
    ).toBeUndefined();
  });

  it('of a playlist that never existed', async () => {
    expect(await nowOf(idFromCommand('playlist', newId()))).toBeUndefined();
  });
});

describe('events that no command makes yet are read:', () => {
  const titles = async () =>
    (await findPlaylist(api.reads, playlist))?.playlist.songs?.map(({ title }) => title).join(' ') ?? 'no playlist';
  /** The tables must show what the events fold to. */
  async function mustShow(expected: string): Promise<void> {
    expect(await titles()).toBe(expected);
    expect((await shown(await now()))?.titles.join(' ')).toBe(expected);
  }
  /** Three songs, each with an entry by its title. */
  async function three(): Promise<readonly string[]> {
    const songs = ['A', 'B', 'C'].map((_, index) => core.streamIn(index, 'song'));
    for (const [index, title] of ['A', 'B', 'C'].entries()) await tell(songs[index]!, created(title));
    const entries = songs.map((songId, index) => ({
      entryId: entryIn('ABC'[index]!),
      songId,
      title: 'as it was added',
      orderKey: `a${index}`,
    }));
    await tell(playlist, { type: 'SongsAddedToPlaylist', playlistId: playlist, entries, rekeyed: [] });
    return songs;
  }
  const entryIn = (title: string) => `${playlist}.${title}`;
  const restored = (titles: string): AnyEvent => ({
    type: 'PlaylistRestored',
    playlistId: playlist,
    restoredVersion: 2,
    name: 'Noon',
    description: null,
    entries: Array.from(titles, (title, index) => ({ entryId: entryIn(title), orderKey: `a${index}` })),
  });

  it('songs that were added together and moved, with others that made room', async () => {
    const [a] = await three();
    await mustShow('A B C');
    await tell(playlist, {
      type: 'SongsMovedInPlaylist',
      playlistId: playlist,
      entries: [{ entryId: entryIn('A'), songId: a!, orderKey: 'a2' }],
      rekeyed: [{ entryId: entryIn('C'), orderKey: 'a3' }],
    });
    await mustShow('B A C');
  });

  it('a restored list: listed songs are in it, others are gone, and a new song is added', async () => {
    const [a, b] = await three();
    await tell(playlist, removed(a!, entryIn('A')), removed(b!, entryIn('B')));
    await mustShow('C');
    await tell(playlist, restored('BA'));
    await mustShow('B A');
    expect((await findPlaylist(api.reads, playlist))?.playlist.name).toBe('Noon');
    await tell(playlist, added(b!, newId(), 'a5'));
    await mustShow('B A B');
    await tell(playlist, restored('ABC'));
    await mustShow('A B C');
  });

  it('a deleted playlist that was restored, with its songs and its collaborators', async () => {
    const collaboration = { collaborationId: 'collab-1', accountId: newId() };
    await three();
    await tell(playlist, { type: 'CollaboratorAdded', playlistId: playlist, ...collaboration });
    await tell(playlist, { type: 'PlaylistDeleted', playlistId: playlist, name: 'Morning' });
    expect(await titles()).toBe('no playlist');
    expect(await readersOf(api.reads, playlist)).toBeUndefined();
    expect(await playlistsOf(api.reads, collaboration.accountId)).toEqual([]);
    await tell(playlist, { type: 'PlaylistUndeleted', playlistId: playlist, name: 'Morning' });
    await mustShow('A B C');
    expect(await readersOf(api.reads, playlist)).toEqual(['user-1', collaboration.accountId]);
    expect(await playlistsOf(api.reads, collaboration.accountId)).toMatchObject([{ id: playlist }]);
  });
});
