import { afterAll, beforeAll, expect, it } from '@jest/globals';
import type { AnyEvent } from '../../src/events/events.ts';
import { idFromCommand, newId } from '../../src/events/ids.ts';
import { UNDELETE_MS } from '../../src/events/playlists.ts';
import { snapshotOf } from '../../src/projections/playlist-history.ts';
import { deletedPlaylistsOf, deletionTimeOf } from '../../src/projections/playlists.ts';
import { type Api, claim, type Core, openCore } from '../support/core.ts';
import { createDatabase, type TestDatabase } from '../support/servers/index.ts';

let server: TestDatabase;
let core: Core;
let api: Api;

beforeAll(async () => {
  server = await createDatabase();
  core = await openCore({ connection: server.connection, partitions: 1 });
  api = await core.openApi();
});
afterAll(async () => {
  await core.close();
  await server.drop();
});

/** Appends the events of one stream, and waits until they are visible. */
async function tell(stream: string, events: readonly AnyEvent[]): Promise<void> {
  const records: ReturnType<typeof claim>[] = [];
  for (const event of events) {
    records.push(claim({ stream, version: records.length + 1, prev: records.at(-1)?.id ?? '', event }));
  }
  await core.append(core.placement.place(stream), ...records);
  await core.settled();
}

const created = (playlistId: string): AnyEvent => ({
  type: 'PlaylistCreated',
  playlistId,
  name: 'Morning',
  ownerId: 'user-1',
  description: null,
  visibility: 'private',
});

it('a deleted playlist is listed for 30 days after the time of its event', async () => {
  const playlist = idFromCommand('playlist', newId());
  await tell(playlist, [created(playlist), { type: 'PlaylistDeleted', playlistId: playlist, name: 'Morning' }]);
  const deletedAt = await deletionTimeOf(api.reads, playlist);
  const lists = { first: api.reads.query, query: api.reads.query };
  const listedAt = async (now: number, account = 'user-1') =>
    (await deletedPlaylistsOf(lists, account, { since: new Date(now - UNDELETE_MS) }).next(10))?.map(({ id }) => id);
  const end = deletedAt!.getTime() + UNDELETE_MS;
  expect(await listedAt(end - 1)).toEqual([playlist]);
  expect(await listedAt(end)).toEqual([]);
  expect(await listedAt(end - 1, 'user-2')).toEqual([]);
});

it('a long history is read in parts, and only the last restore counts', async () => {
  const playlist = idFromCommand('playlist', newId());
  const keyOf = (n: number) => `k${String(n).padStart(6, '0')}`;
  const added = (n: number): AnyEvent => ({
    type: 'SongsAddedToPlaylist',
    playlistId: playlist,
    rekeyed: [],
    entries: [{ entryId: `${playlist}-${n}`, songId: `song-${n}`, title: 't', orderKey: keyOf(n) }],
  });
  const restored = (...entries: number[]): AnyEvent => ({
    type: 'PlaylistRestored',
    playlistId: playlist,
    restoredVersion: 3,
    name: 'Noon',
    description: null,
    entries: entries.map((n) => ({ entryId: `${playlist}-${n}`, orderKey: keyOf(n) })),
  });
  const songs = Array.from({ length: 2_500 }, (_, n) => added(n));
  await tell(playlist, [created(playlist), ...songs, restored(7, 9), added(3_000), restored(1, 2_000), added(3_001)]);
  const all = [{ first: 1, last: 10_000 }];
  const songsAt = async (version: number) =>
    (await snapshotOf(api.reads, playlist, all, { version }))?.entries.map(({ songId }) => Number(songId.slice(5)));
  expect(await songsAt(2_501)).toEqual(songs.map((_, n) => n));
  expect(await songsAt(2_502)).toEqual([7, 9]);
  expect(await songsAt(2_503)).toEqual([7, 9, 3_000]);
  expect(await songsAt(2_504)).toEqual([1, 2_000]);
  expect(await songsAt(2_505)).toEqual([1, 2_000, 3_001]);
  expect(await songsAt(2_506)).toBeUndefined();
});
