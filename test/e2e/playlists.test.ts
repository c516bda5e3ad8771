import { randomUUID } from 'node:crypto';
import { beforeAll, describe, expect, it } from '@jest/globals';
import { serverUnderTest } from '../support/server-under-test.ts';
import { type Client, createClient } from '../support/client.ts';
import { newPerson, type Person } from '../support/people.ts';

let anonymous: Client;
/** The owner of every playlist here, a collaborator on some, and a user without access. */
let [owner, friend, stranger]: Person[] = [];
beforeAll(async () => {
  const server = await serverUnderTest();
  anonymous = createClient(server.url);
  [owner, friend, stranger] = [await newPerson(server.url), await newPerson(server.url), await newPerson(server.url)];
});

const as = (person: Person | undefined): Client => person!.client;
const idOf = (person: Person | undefined): string => person!.id;

async function newPlaylist(name = 'Morning'): Promise<string> {
  const { status, body } = await as(owner).post('/playlists', { name });
  expect(status).toBe(201);
  return body?.data?.playlistId ?? '';
}

async function newSong(title = 'Yes'): Promise<string> {
  const { body } = await anonymous.post('/songs', { title, year: 2008, genre: 'Indie', performer: 'Coldplay' });
  return body?.data?.songId ?? '';
}

const add = (playlist: string, songId: unknown, person = owner) =>
  as(person).post(`/playlists/${playlist}/songs`, { songId });
const takeOut = (playlist: string, songId: unknown, person = owner) =>
  as(person).delete(`/playlists/${playlist}/songs`, {}, { songId });
const share = (playlistId: string, person = friend, by = owner) =>
  as(by).post('/collaborations', { playlistId, userId: idOf(person) });
const unshare = (playlistId: string, person = friend, by = owner) =>
  as(by).delete('/collaborations', {}, { playlistId, userId: idOf(person) });
const read = async (playlist: string, person = owner) =>
  (await as(person).get(`/playlists/${playlist}/songs`)).body?.data?.playlist;
const titlesOf = async (playlist: string) => (await read(playlist))?.songs.map(({ title }) => title);
const activitiesOf = async (playlist: string, person = owner) =>
  (await as(person).get(`/playlists/${playlist}/activities`)).body?.data?.activities;
const listOf = async (person: Person | undefined) => (await as(person).get('/playlists')).body?.data?.playlists ?? [];

const done = { status: 'success', message: expect.any(String) };
const fails = (status: number, code: string) => ({ status, body: { status: 'fail', code } });
const missing = fails(404, 'PLAYLIST_NOT_FOUND');
const forbidden = fails(403, 'FORBIDDEN');

describe('playlists', () => {
  it('can be created, listed and read, with exactly the keys of the contract', async () => {
    const { status, body } = await as(owner).post('/playlists', { name: 'Evening' });
    expect([status, body]).toEqual([
      201,
      { status: 'success', data: { playlistId: expect.stringMatching(/^playlist-/) } },
    ]);
    const id = body?.data?.playlistId ?? '';
    const summary = { id, name: 'Evening', username: owner!.username };
    expect(await listOf(owner)).toContainEqual(summary);
    const answer = await as(owner).get(`/playlists/${id}/songs`);
    expect([answer.status, answer.body]).toEqual([
      200,
      { status: 'success', data: { playlist: { ...summary, songs: [] } } },
    ]);
    expect(answer.headers.get('x-data-source')).toMatch(/^(cache|database)$/);
  });

  it('can be renamed by their owner', async () => {
    const id = await newPlaylist();
    expect(await as(owner).patch(`/playlists/${id}`, { name: 'Noon' })).toMatchObject({ status: 200, body: done });
    expect((await read(id))?.name).toBe('Noon');
    expect((await listOf(owner)).find((each) => each.id === id)?.name).toBe('Noon');
    await share(id);
    for (const person of [friend, stranger]) {
      expect(await as(person).patch(`/playlists/${id}`, { name: 'Mine' })).toMatchObject(forbidden);
    }
  });

  it('can be deleted by their owner, and are 404 for every user afterwards', async () => {
    const [id, songId] = [await newPlaylist(), await newSong()];
    await share(id);
    for (const person of [friend, stranger]) {
      expect(await as(person).delete(`/playlists/${id}`)).toMatchObject(forbidden);
    }
    expect(await as(owner).delete(`/playlists/${id}`)).toMatchObject({ status: 200, body: done });
    for (const person of [owner, friend, stranger]) {
      expect(await as(person).get(`/playlists/${id}/songs`)).toMatchObject(missing);
      expect(await as(person).get(`/playlists/${id}/activities`)).toMatchObject(missing);
      expect(await as(person).delete(`/playlists/${id}`)).toMatchObject(missing);
      expect(await add(id, songId, person)).toMatchObject(missing);
      expect((await listOf(person)).map((each) => each.id)).not.toContain(id);
    }
    expect(await share(id)).toMatchObject(missing);
  });

  it('are private to their owner and collaborators', async () => {
    const id = await newPlaylist();
    expect(await as(stranger).get(`/playlists/${id}/songs`)).toMatchObject(forbidden);
    expect(await as(stranger).get(`/playlists/${id}/activities`)).toMatchObject(forbidden);
    expect((await listOf(stranger)).map((each) => each.id)).not.toContain(id);
  });

  it.each(['playlist-none', 'none', 'playlist-%00', '%F0%9F%8E%B5', 'album-1'])(
    'with the id %s are 404',
    async (id) => {
      expect(await as(owner).get(`/playlists/${id}/songs`)).toMatchObject(missing);
      expect(await as(owner).delete(`/playlists/${id}`)).toMatchObject(missing);
      expect(await as(owner).patch(`/playlists/${id}`, { name: 'x' })).toMatchObject(missing);
    },
  );

  it.each([
    ['nothing', {}],
    ['an empty name', { name: '' }],
    ['a number', { name: 1 }],
    ['NUL', { name: 'a\0b' }],
    ['an owner', { name: 'x', ownerId: 'user-1' }],
  ])('with %s are 400', async (_, body) => {
    expect((await as(owner).post('/playlists', body)).status).toBe(400);
    expect((await as(owner).patch('/playlists/playlist-none', body)).status).toBe(400);
  });
});

describe('songs of a playlist', () => {
  it('are added at the end and removed', async () => {
    const id = await newPlaylist();
    const [one, two, three] = [await newSong('One'), await newSong('Two'), await newSong('Three')];
    for (const song of [two, one, three]) expect(await add(id, song)).toMatchObject({ status: 201, body: done });
    expect((await read(id))?.songs).toEqual([
      { id: two, title: 'Two', performer: 'Coldplay' },
      { id: one, title: 'One', performer: 'Coldplay' },
      { id: three, title: 'Three', performer: 'Coldplay' },
    ]);
    expect(await takeOut(id, one)).toMatchObject({ status: 200, body: done });
    expect(await titlesOf(id)).toEqual(['Two', 'Three']);
    await add(id, one);
    expect(await titlesOf(id)).toEqual(['Two', 'Three', 'One']);
  });

  it('that do not exist are 404 before permission is checked', async () => {
    const id = await newPlaylist();
    for (const person of [owner, stranger]) {
      expect(await add(id, 'song-none', person)).toMatchObject(fails(404, 'SONG_NOT_FOUND'));
    }
    expect(await takeOut(id, 'song-none')).toMatchObject(fails(404, 'SONG_NOT_FOUND'));
    expect(await takeOut(id, await newSong())).toMatchObject(fails(404, 'SONG_NOT_IN_PLAYLIST'));
    expect(await add('playlist-none', await newSong())).toMatchObject(missing);
  });

  it('can be added by collaborators, and not by strangers', async () => {
    const [id, song] = [await newPlaylist(), await newSong()];
    await share(id);
    expect(await add(id, song, stranger)).toMatchObject(forbidden);
    expect((await add(id, song, friend)).status).toBe(201);
    expect(await takeOut(id, song, stranger)).toMatchObject(forbidden);
    expect((await takeOut(id, song, friend)).status).toBe(200);
  });

  it.each([
    ['nothing', {}],
    ['a number', { songId: 1 }],
    ['an unknown field', { songId: 'song-1', position: 1 }],
  ])('with %s are 400', async (_, body) => {
    const id = await newPlaylist();
    expect((await as(owner).post(`/playlists/${id}/songs`, body)).status).toBe(400);
    expect((await as(owner).delete(`/playlists/${id}/songs`, {}, body)).status).toBe(400);
  });

  it('follow their song: they are renamed and deleted with it', async () => {
    const id = await newPlaylist();
    const song = await newSong('Before');
    await add(id, song);
    await anonymous.put(`/songs/${song}`, { title: 'After', year: 2008, genre: 'Indie', performer: 'Coldplay' });
    expect(await titlesOf(id)).toEqual(['After']);
    await anonymous.delete(`/songs/${song}`);
    expect(await titlesOf(id)).toEqual([]);
  });
});

describe('activities', () => {
  it('show who did what, oldest first, with the titles of that time', async () => {
    const [id, song] = [await newPlaylist(), await newSong('Then')];
    await share(id);
    await add(id, song, friend);
    await anonymous.put(`/songs/${song}`, { title: 'Later', year: 2008, genre: 'Indie', performer: 'Coldplay' });
    await takeOut(id, song);
    await add(id, song);
    await anonymous.delete(`/songs/${song}`);
    const { status, body } = await as(friend).get(`/playlists/${id}/activities`);
    const time = expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
    expect([status, body]).toEqual([
      200,
      {
        status: 'success',
        data: {
          playlistId: id,
          activities: [
            { username: friend!.username, title: 'Then', action: 'add', time },
            { username: owner!.username, title: 'Later', action: 'delete', time },
            { username: owner!.username, title: 'Later', action: 'add', time },
          ],
        },
      },
    ]);
  });

  it('keep the order of concurrent changes', async () => {
    const id = await newPlaylist();
    await share(id);
    const songs = await Promise.all(Array.from({ length: 12 }, (_, n) => newSong(`Song ${n}`)));
    const added = await Promise.all(songs.map((song, n) => add(id, song, n % 2 === 0 ? owner : friend)));
    expect(new Set(added.map(({ status }) => status))).toEqual(new Set([201]));
    const activities = (await activitiesOf(id)) ?? [];
    expect(activities.map(({ title }) => title)).toEqual(await titlesOf(id));
    expect(activities).toHaveLength(12);
  });
});

describe('collaborations', () => {
  it('grant access and revoke it', async () => {
    const id = await newPlaylist('Ours');
    const { status, body } = await share(id);
    expect([status, body]).toEqual([201, { status: 'success', data: { collaborationId: expect.stringMatching(/./) } }]);
    const mine = (await listOf(friend)).filter((each) => each.id === id);
    expect(mine).toEqual([{ id, name: 'Ours', username: owner!.username }]);
    expect((await as(friend).get(`/playlists/${id}/songs`)).status).toBe(200);
    expect((await as(friend).get(`/playlists/${id}/activities`)).status).toBe(200);
    expect(await unshare(id)).toMatchObject({ status: 200, body: done });
    expect((await listOf(friend)).filter((each) => each.id === id)).toEqual([]);
    for (const path of ['songs', 'activities']) {
      expect(await as(friend).get(`/playlists/${id}/${path}`)).toMatchObject(forbidden);
    }
    expect(await add(id, await newSong(), friend)).toMatchObject(forbidden);
    expect((await share(id)).status).toBe(201);
  });

  it('are 400 for a user who has access already', async () => {
    const id = await newPlaylist();
    await share(id);
    for (const person of [friend, owner]) {
      expect(await share(id, person)).toMatchObject(fails(400, 'ALREADY_COLLABORATOR'));
    }
  });

  it('can be changed by the owner only', async () => {
    const id = await newPlaylist();
    await share(id);
    for (const person of [friend, stranger]) {
      expect(await share(id, stranger, person)).toMatchObject(forbidden);
      expect(await unshare(id, friend, person)).toMatchObject(forbidden);
    }
  });

  it('with a missing user or playlist are 404', async () => {
    const id = await newPlaylist();
    const unknown = { playlistId: id, userId: 'user-none' };
    expect(await as(owner).post('/collaborations', unknown)).toMatchObject(fails(404, 'USER_NOT_FOUND'));
    expect(await as(owner).delete('/collaborations', {}, unknown)).toMatchObject(fails(404, 'USER_NOT_FOUND'));
    expect(await share('playlist-none')).toMatchObject(missing);
    expect(await unshare('playlist-none')).toMatchObject(missing);
    expect(await unshare(id)).toMatchObject(fails(404, 'COLLABORATION_NOT_FOUND'));
  });

  it.each([
    ['nothing', {}],
    ['no user', { playlistId: 'playlist-1' }],
    ['a list', { playlistId: ['playlist-1'], userId: 'user-1' }],
    ['an unknown field', { playlistId: 'playlist-1', userId: 'user-1', role: 'owner' }],
  ])('with %s are 400', async (_, body) => {
    expect((await as(owner).post('/collaborations', body)).status).toBe(400);
    expect((await as(owner).delete('/collaborations', {}, body)).status).toBe(400);
  });
});

describe('without a login', () => {
  it.each([
    ['POST', '/playlists'],
    ['GET', '/playlists'],
    ['PATCH', '/playlists/playlist-1'],
    ['DELETE', '/playlists/playlist-1'],
    ['POST', '/playlists/playlist-1/songs'],
    ['GET', '/playlists/playlist-1/songs'],
    ['DELETE', '/playlists/playlist-1/songs'],
    ['GET', '/playlists/playlist-1/activities'],
    ['POST', '/collaborations'],
    ['DELETE', '/collaborations'],
  ])('%s %s is 401 with any body', async (method, path) => {
    const json = method === 'GET' ? undefined : { nonsense: true };
    const answer = await anonymous.send(method, path, { json });
    expect(answer).toMatchObject(fails(401, 'AUTHENTICATION_REQUIRED'));
    expect(answer.headers.get('www-authenticate')).toBe('Bearer');
  });
});

describe('ETags of playlists', () => {
  const tagOf = async (id: string) => (await as(owner).get(`/playlists/${id}/songs`)).headers.get('etag') ?? '';

  it('let a client skip what it has cached, until a song changes', async () => {
    const [id, song] = [await newPlaylist(), await newSong()];
    await add(id, song);
    const etag = await tagOf(id);
    const again = () => as(owner).get(`/playlists/${id}/songs`, { 'if-none-match': etag });
    expect(await again()).toMatchObject({ status: 304, text: '' });
    await anonymous.put(`/songs/${song}`, { title: 'Other', year: 2008, genre: 'Indie', performer: 'Coldplay' });
    expect((await again()).status).toBe(200);
  });

  it('guard every change', async () => {
    const [id, song] = [await newPlaylist(), await newSong()];
    const old = await tagOf(id);
    await add(id, await newSong());
    const stale = { 'if-match': old };
    const current = await tagOf(id);
    const refused = await Promise.all([
      as(owner).post(`/playlists/${id}/songs`, { songId: song }, stale),
      as(owner).patch(`/playlists/${id}`, { name: 'x' }, stale),
      as(owner).delete(`/playlists/${id}`, stale),
    ]);
    for (const answer of refused) {
      expect([answer.status, answer.headers.get('etag')]).toEqual([412, current]);
    }
    expect((await as(owner).patch(`/playlists/${id}`, { name: 'x' }, { 'if-match': current })).status).toBe(200);
  });
});

describe('idempotency keys on playlists', () => {
  const keyed = () => ({ 'idempotency-key': randomUUID() });

  it('give every change one effect', async () => {
    const key = keyed();
    const first = await as(owner).post('/playlists', { name: 'Once' }, key);
    const again = await as(owner).post('/playlists', { name: 'Once' }, key);
    expect([again.body, again.headers.get('idempotency-replayed')]).toEqual([first.body, 'true']);
    const id = first.body?.data?.playlistId ?? '';
    const song = await newSong();
    const body = { playlistId: id, userId: idOf(friend) };
    const changes: [string, string, object][] = [
      ['POST', `/playlists/${id}/songs`, { songId: song }],
      ['DELETE', `/playlists/${id}/songs`, { songId: song }],
      ['POST', '/collaborations', body],
      ['DELETE', '/collaborations', body],
      ['PATCH', `/playlists/${id}`, { name: 'Twice' }],
    ];
    for (const [method, path, json] of changes) {
      const headers = keyed();
      const [one, two] = [
        await as(owner).send(method, path, { json, headers }),
        await as(owner).send(method, path, { json, headers }),
      ];
      expect([two.status, two.body]).toEqual([one.status, one.body]);
      expect([one.status < 300, two.headers.get('idempotency-replayed')]).toEqual([true, 'true']);
      expect(await as(owner).send(method, path, { json: { ...json, more: 1 }, headers })).toMatchObject({
        status: 400,
      });
    }
    expect(await activitiesOf(id)).toHaveLength(2);
  });

  it('are separate for each user', async () => {
    const key = keyed();
    const [one, other] = [
      await as(owner).post('/playlists', { name: 'Same' }, key),
      await as(friend).post('/playlists', { name: 'Same' }, key),
    ];
    expect(one.body?.data?.playlistId).not.toBe(other.body?.data?.playlistId);
  });

  it('are checked before existence and permission', async () => {
    const [id, headers] = [await newPlaylist(), keyed()];
    const song = await newSong();
    const body = { songId: song };
    await share(id);
    const send = () => as(friend).post(`/playlists/${id}/songs`, body, headers);
    expect((await send()).status).toBe(201);
    await unshare(id);
    expect((await send()).headers.get('idempotency-replayed')).toBe('true');
    await as(owner).delete(`/playlists/${id}`);
    expect(await send()).toMatchObject({ status: 201, body: done });
  });
});

it('adding a song that is already in the playlist is 400', async () => {
  const [id, song] = [await newPlaylist(), await newSong()];
  await add(id, song);
  expect(await add(id, song)).toMatchObject(fails(400, 'SONG_ALREADY_IN_PLAYLIST'));
});
