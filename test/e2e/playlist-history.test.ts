import { randomUUID } from 'node:crypto';
import { beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { type Client, createClient } from '../support/client.ts';
import { newPerson, type Person } from '../support/people.ts';
import { serverUnderTest } from '../support/server-under-test.ts';

let anonymous: Client;
let [owner, friend, stranger]: Person[] = [];
beforeAll(async () => {
  const { url } = await serverUnderTest();
  anonymous = createClient(url);
  [owner, friend, stranger] = [await newPerson(url), await newPerson(url), await newPerson(url)];
});

const as = (person: Person | undefined): Client => person!.client;
const fails = (status: number, code: string) => ({ status, body: { status: 'fail', code } });
const noVersion = fails(404, 'VERSION_NOT_FOUND');
const missing = fails(404, 'PLAYLIST_NOT_FOUND');
const forbidden = fails(403, 'FORBIDDEN');

async function newSong(title: string): Promise<string> {
  const { body } = await anonymous.post('/songs', { title, year: 2008, genre: 'Indie', performer: 'Coldplay' });
  return body?.data?.songId ?? '';
}

/** A playlist with the versions 1 created, 2 with One, 3 with One and Two, 4 without One, 5 renamed. */
let id: string;
let [one, two] = ['', ''];
beforeEach(async () => {
  [one, two] = [await newSong('One'), await newSong('Two')];
  id = (await as(owner).post('/playlists', { name: 'Morning' })).body?.data?.playlistId ?? '';
  await add(one);
  await add(two);
  await as(owner).delete(`/playlists/${id}/songs`, {}, { songId: one });
  await as(owner).patch(`/playlists/${id}`, { name: 'Evening' });
});

const add = (songId: string, person = owner) => as(person).post(`/playlists/${id}/songs`, { songId });
const share = () => as(owner).post('/collaborations', { playlistId: id, userId: friend!.id });
const unshare = () => as(owner).delete('/collaborations', {}, { playlistId: id, userId: friend!.id });
const get = (path: string, person = owner) => as(person).get(`/playlists/${id}${path}`);
const restore = (version: unknown, person = owner, headers = {}) =>
  as(person).post(`/playlists/${id}/restore`, { version }, headers);
const undelete = (person = owner, headers = {}) => as(person).post(`/playlists/${id}/undelete`, undefined, headers);
const shown = async (query = '', person = owner) => {
  const playlist = (await get(`/songs${query}`, person)).body?.data?.playlist;
  return playlist && [playlist.name, ...playlist.songs.map(({ title }) => title)];
};
const versionsOf = async (person = owner) => (await get('/versions', person)).body?.data?.versions ?? [];
const numbersOf = async (person = owner) => (await versionsOf(person)).map(({ version }) => version);
const deletedOf = async (person = owner) =>
  (await as(person).get('/playlists/deleted?limit=1000')).body?.data?.playlists;

describe('versions of a playlist', () => {
  it('are listed newest first, with time, actor and type', async () => {
    const time = expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
    const actor = { id: owner!.id, username: owner!.username };
    const types = ['PlaylistChanged', 'SongRemovedFromPlaylist', 'SongsAddedToPlaylist', 'SongsAddedToPlaylist'];
    expect((await get('/versions')).body).toEqual({
      status: 'success',
      data: {
        playlistId: id,
        versions: [...types, 'PlaylistCreated'].map((type, index) => ({ version: 5 - index, time, actor, type })),
        nextCursor: null,
      },
    });
  });

  it('come in pages', async () => {
    const first = (await get('/versions?limit=2')).body?.data;
    expect(first?.versions?.map(({ version }) => version)).toEqual([5, 4]);
    const second = (await get(`/versions?limit=4&cursor=${first?.nextCursor}`)).body?.data;
    expect(second?.versions?.map(({ version }) => version)).toEqual([3, 2, 1]);
    expect(second?.nextCursor).toBeNull();
    for (const query of ['limit=0', 'limit=1001', 'cursor=x', 'cursor=']) {
      expect((await get(`/versions?${query}`)).status).toBe(400);
    }
  });

  it('can be read by number, and by a time at which they were current', async () => {
    expect(await shown('?version=1')).toEqual(['Morning']);
    expect(await shown('?version=3')).toEqual(['Morning', 'One', 'Two']);
    const [{ time } = { time: '' }] = (await versionsOf()).filter(({ version }) => version === 3);
    const { body } = await get(`/songs?at=${time}`);
    expect(body?.data?.playlist).toMatchObject({ id, name: 'Morning', username: owner!.username, time });
    expect(await shown('?at=2999-01-01T00:00:00%2B02:00')).toEqual(['Evening', 'Two']);
    expect(await get('/songs?at=2000-01-01T00:00:00Z')).toMatchObject(noVersion);
  });

  it('that do not exist are 404, and those that cannot be are 400', async () => {
    for (const version of ['6', '2147483647', '2147483648', '999999999999']) {
      expect(await get(`/songs?version=${version}`)).toMatchObject(noVersion);
    }
    const wrong = ['version=0', 'version=-1', 'version=1.5', 'version=x', 'version=', 'version=1&version=2'];
    for (const query of [...wrong, 'at=yesterday', 'at=2026-01-01T00:00:00', 'at=2026-02-30T00:00:00Z']) {
      expect([query, (await get(`/songs?${query}`)).status]).toEqual([query, 400]);
    }
    expect((await get('/songs?version=1&at=2026-01-01T00:00:00Z')).status).toBe(400);
  });

  it('leave the current answer as it is, key for key, and its cache alone', async () => {
    await get('/songs');
    const before = await get('/songs?other=1');
    expect(before.headers.get('x-data-source')).toBe('cache');
    const past = await get('/songs?version=5');
    expect([past.headers.get('x-data-source'), past.headers.get('etag')]).toEqual(['database', null]);
    const after = await get('/songs');
    expect([after.text, after.headers.get('x-data-source')]).toEqual([before.text, 'cache']);
    expect(Object.keys(after.body?.data?.playlist ?? {}).sort()).toEqual(['id', 'name', 'songs', 'username']);
  });

  it('show songs with the titles of today, and those that were deleted since with their last ones', async () => {
    await anonymous.put(`/songs/${one}`, { title: 'Uno', year: 2008, genre: 'Indie', performer: 'Coldplay' });
    await anonymous.delete(`/songs/${two}`);
    expect(await shown('?version=3')).toEqual(['Morning', 'Uno', 'Two']);
    await as(owner).patch(`/playlists/${id}`, { name: 'Night' });
    expect(await shown('?version=6')).toEqual(['Night']);
  });

  it('are compared', async () => {
    const song = (songId: string, title: string) => ({ id: songId, title, performer: 'Coldplay' });
    const same = { name: null, added: [], removed: [], moved: [], collaborators: { added: [], removed: [] } };
    const diff = async (query: string) => (await get(`/diff?${query}`)).body?.data;
    expect(await diff('from=2&to=5')).toEqual({
      ...same,
      playlistId: id,
      from: 2,
      to: 5,
      name: { from: 'Morning', to: 'Evening' },
      added: [{ ...song(two, 'Two'), position: 1 }],
      removed: [{ ...song(one, 'One'), position: 1 }],
    });
    await add(one);
    await share();
    expect(await diff('from=3&to=7')).toEqual({
      ...same,
      playlistId: id,
      from: 3,
      to: 7,
      name: { from: 'Morning', to: 'Evening' },
      moved: [{ ...song(two, 'Two'), from: 2, to: 1 }],
      collaborators: { added: [{ id: friend!.id, username: friend!.username }], removed: [] },
    });
    expect(await diff('from=4&to=4')).toEqual({ ...same, playlistId: id, from: 4, to: 4 });
    expect(await get('/diff?from=1&to=9')).toMatchObject(noVersion);
    for (const query of ['', 'from=1', 'from=0&to=1']) expect((await get(`/diff?${query}`)).status).toBe(400);
  });

  it('are seen by a collaborator from the times of its collaborations alone', async () => {
    await share(); // 6
    await add(one, friend); // 7
    await unshare(); // 8
    await as(owner).patch(`/playlists/${id}`, { name: 'Secret' }); // 9
    for (const path of ['/versions', '/songs?version=7', '/diff?from=7&to=7']) {
      expect(await get(path, friend)).toMatchObject(forbidden);
    }
    await as(owner).patch(`/playlists/${id}`, { name: 'Night' }); // 10
    await share(); // 11
    expect(await numbersOf(friend)).toEqual([11, 7, 6]);
    const page = (await get('/versions?limit=1', friend)).body?.data?.nextCursor;
    const next = (await get(`/versions?limit=1&cursor=${page}`, friend)).body?.data?.versions;
    expect(next?.map(({ version }) => version)).toEqual([7]);
    expect(await shown('?version=7', friend)).toEqual(['Evening', 'Two', 'One']);
    const [{ time } = { time: '' }] = (await versionsOf()).filter(({ version }) => version === 9);
    for (const path of ['/songs?version=5', '/songs?version=9', `/songs?at=${time}`, '/diff?from=5&to=7']) {
      expect(await get(path, friend)).toMatchObject(noVersion);
    }
    const { body } = await get('/diff?from=6&to=11', friend);
    expect(body?.data).toMatchObject({ from: 6, to: 11 });
    expect(body?.data).not.toHaveProperty('collaborators');
  });
});

describe('a playlist', () => {
  it('is restored with its name and songs, and is fresh at once for every reader', async () => {
    await share();
    for (const person of [owner, friend]) await get('/songs', person);
    expect(await restore(3)).toMatchObject({ status: 200, body: { status: 'success' } });
    const fresh = await get('/songs', friend);
    expect(fresh.headers.get('x-data-source')).toBe('database');
    for (const person of [owner, friend]) expect(await shown('', person)).toEqual(['Morning', 'One', 'Two']);
    for (const person of [owner, friend]) {
      const { body } = await as(person).get('/playlists');
      expect(body?.data?.playlists?.find((each) => each.id === id)?.name).toBe('Morning');
    }
  });

  it('is restored to any of its versions', async () => {
    for (const version of [1, 2, 3, 4, 5]) {
      const then = await shown(`?version=${version}`);
      await restore(version);
      expect(await shown()).toEqual(then);
    }
    expect((await versionsOf())[0]).toMatchObject({ version: 10, type: 'PlaylistRestored' });
  });

  it('is restored by one more version when nothing differs', async () => {
    expect((await restore(5)).status).toBe(200);
    expect(await numbersOf()).toEqual([6, 5, 4, 3, 2, 1]);
  });

  it('is restored once for an idempotency key, and only to the version of If-Match', async () => {
    const tag = (await get('/songs')).headers.get('etag') ?? '';
    const headers = { 'idempotency-key': randomUUID(), 'if-match': tag };
    expect((await restore(2, owner, headers)).status).toBe(200);
    const again = await restore(2, owner, headers);
    expect([again.status, again.headers.get('idempotency-replayed')]).toEqual([200, 'true']);
    expect((await restore(3, owner, headers)).status).toBe(422);
    const stale = await restore(3, owner, { 'if-match': tag });
    expect(stale).toMatchObject(fails(412, 'PRECONDITION_FAILED'));
    expect(stale.headers.get('etag')).toMatch(/^"6-/);
    expect(await numbersOf()).toEqual([6, 5, 4, 3, 2, 1]);
  });

  it('is restored only by its owner, and only to a version that it has', async () => {
    await share();
    for (const person of [friend, stranger]) expect(await restore(1, person)).toMatchObject(forbidden);
    expect((await anonymous.post(`/playlists/${id}/restore`, { version: 1 })).status).toBe(401);
    expect(await restore(7)).toMatchObject(noVersion);
    for (const version of [0, -1, 1.5, '1', null, 2 ** 31]) expect((await restore(version)).status).toBe(400);
  });

  it('is seen by its owner alone after it was deleted, and comes back with songs and collaborators', async () => {
    await share();
    await as(owner).delete(`/playlists/${id}`);
    for (const person of [owner, friend]) {
      for (const path of ['/songs', '/songs?version=1', '/versions', '/diff?from=1&to=2']) {
        expect(await get(path, person)).toMatchObject(missing);
      }
      expect(await restore(1, person)).toMatchObject(missing);
    }
    const found = (await deletedOf())?.find((each) => each.id === id);
    expect(found).toEqual({ id, name: 'Evening', deletedAt: expect.any(String), undeletableUntil: expect.any(String) });
    for (const person of [friend, stranger]) {
      expect((await deletedOf(person))?.map((each) => each.id)).not.toContain(id);
      expect(await undelete(person)).toMatchObject(missing);
    }
    expect(await undelete()).toMatchObject({ status: 200, body: { status: 'success' } });
    for (const person of [owner, friend]) {
      expect(await shown('', person)).toEqual(['Evening', 'Two']);
      const { body } = await as(person).get('/playlists');
      expect(body?.data?.playlists?.map((each) => each.id)).toContain(id);
    }
    expect((await deletedOf())?.map((each) => each.id)).not.toContain(id);
    expect(await undelete()).toMatchObject(fails(400, 'PLAYLIST_NOT_DELETED'));
    expect(await undelete(friend)).toMatchObject(forbidden);
    expect(await get('/songs?version=7')).toMatchObject(noVersion);
    expect(await restore(7)).toMatchObject(noVersion);
  });

  it('is brought back once for an idempotency key, and only from the version of If-Match', async () => {
    const tag = (await get('/songs')).headers.get('etag') ?? '';
    await as(owner).delete(`/playlists/${id}`);
    expect(await undelete(owner, { 'if-match': tag })).toMatchObject(fails(412, 'PRECONDITION_FAILED'));
    const key = { 'idempotency-key': randomUUID() };
    expect((await undelete(owner, key)).status).toBe(200);
    expect((await undelete(owner, key)).headers.get('idempotency-replayed')).toBe('true');
    expect((await numbersOf())[0]).toBe(7);
  });

  it('shows in its activities that it was restored and brought back', async () => {
    await restore(1);
    await as(owner).delete(`/playlists/${id}`);
    await undelete();
    const activities = (await get('/activities')).body?.data?.activities ?? [];
    expect(activities.slice(-2)).toMatchObject([
      { username: owner!.username, title: 'Morning', action: 'restore' },
      { username: owner!.username, title: 'Morning', action: 'undelete' },
    ]);
  });
});

it('deleted playlists are listed in pages, the last deleted one first', async () => {
  const person = await newPerson((await serverUnderTest()).url);
  const ids: string[] = [];
  for (const name of ['a', 'b', 'c']) {
    const { body } = await person.client.post('/playlists', { name });
    ids.unshift(body?.data?.playlistId ?? '');
    await person.client.delete(`/playlists/${ids[0]}`);
  }
  const first = (await person.client.get('/playlists/deleted?limit=2')).body?.data;
  const second = (await person.client.get(`/playlists/deleted?cursor=${first?.nextCursor}`)).body?.data;
  expect([...(first?.playlists ?? []), ...(second?.playlists ?? [])].map((each) => each.id)).toEqual(ids);
  expect(second?.nextCursor).toBeNull();
  expect((await person.client.get('/playlists/deleted?cursor=x')).status).toBe(400);
  expect((await anonymous.get('/playlists/deleted')).status).toBe(401);
});
