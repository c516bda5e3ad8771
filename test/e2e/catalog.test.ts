import { randomUUID } from 'node:crypto';
import { beforeAll, describe, expect, it } from '@jest/globals';
import { type Client, createClient } from '../support/client.ts';
import { serverUnderTest } from '../support/server-under-test.ts';

let client: Client;
beforeAll(async () => {
  const server = await serverUnderTest();
  client = createClient(server.url);
});

const viva = { name: 'Viva la Vida', year: 2008 };
const yes = { title: 'Yes', year: 2008, genre: 'Indie', performer: 'Coldplay' };
/** A word that no other song of this server contains. */
const unique = () => `x${randomUUID().replaceAll('-', '')}`;

async function newAlbum(details: object = viva): Promise<string> {
  const { status, body } = await client.post('/albums', details);
  expect(status).toBe(201);
  return body?.data?.albumId ?? '';
}

async function newSong(details: object = yes): Promise<string> {
  const { status, body } = await client.post('/songs', details);
  expect(status).toBe(201);
  return body?.data?.songId ?? '';
}

const albumOf = async (id: string) => (await client.get(`/albums/${id}`)).body?.data?.album;
const songOf = async (id: string) => (await client.get(`/songs/${id}`)).body?.data?.song;
const search = async (query: string) => (await client.get(`/songs?${query}`)).body?.data?.songs ?? [];

describe('albums', () => {
  it('can be created and read', async () => {
    const { status, headers, body } = await client.post('/albums', viva);
    expect([status, headers.get('content-type')]).toEqual([201, 'application/json; charset=utf-8']);
    expect(body).toEqual({ status: 'success', data: { albumId: expect.stringMatching(/^album-/) } });
    const id = body?.data?.albumId ?? '';
    expect((await client.get(`/albums/${id}`)).body).toEqual({
      status: 'success',
      data: { album: { id, ...viva, coverUrl: null, songs: [] } },
    });
  });

  it('can be changed', async () => {
    const id = await newAlbum();
    const { status, body } = await client.put(`/albums/${id}`, { name: 'Parachutes', year: 2000 });
    expect([status, body]).toEqual([200, { status: 'success', message: expect.any(String) }]);
    expect(await albumOf(id)).toMatchObject({ name: 'Parachutes', year: 2000 });
  });

  it('can be deleted, and stay deleted', async () => {
    const id = await newAlbum();
    expect(await client.delete(`/albums/${id}`)).toMatchObject({ status: 200, body: { status: 'success' } });
    const gone = { status: 404, body: { status: 'fail', code: 'ALBUM_NOT_FOUND' } };
    expect(await client.get(`/albums/${id}`)).toMatchObject(gone);
    expect(await client.put(`/albums/${id}`, viva)).toMatchObject(gone);
    expect(await client.delete(`/albums/${id}`)).toMatchObject(gone);
  });

  it('list their songs, with exactly three keys each', async () => {
    const albumId = await newAlbum();
    const id = await newSong({ ...yes, albumId });
    expect((await albumOf(albumId))?.songs).toEqual([{ id, title: 'Yes', performer: 'Coldplay' }]);
    await client.put(`/songs/${id}`, { ...yes, title: 'No', albumId });
    expect((await albumOf(albumId))?.songs).toEqual([{ id, title: 'No', performer: 'Coldplay' }]);
    await client.put(`/songs/${id}`, yes);
    expect((await albumOf(albumId))?.songs).toEqual([]);
  });

  it('leave their songs without an album when they are deleted', async () => {
    const albumId = await newAlbum();
    const id = await newSong({ ...yes, albumId });
    await client.delete(`/albums/${albumId}`);
    expect(await songOf(id)).toMatchObject({ id, albumId: null });
  });
});

describe('songs', () => {
  it('can be created and read', async () => {
    const albumId = await newAlbum();
    const details = { ...yes, duration: 246, albumId };
    const { status, body } = await client.post('/songs', details);
    expect([status, body]).toEqual([201, { status: 'success', data: { songId: expect.stringMatching(/^song-/) } }]);
    const id = body?.data?.songId ?? '';
    expect((await client.get(`/songs/${id}`)).body).toEqual({ status: 'success', data: { song: { id, ...details } } });
  });

  it('require neither duration nor album', async () => {
    expect(await songOf(await newSong())).toMatchObject({ duration: null, albumId: null });
  });

  it('are replaced as a whole by a change', async () => {
    const id = await newSong({ ...yes, duration: 246, albumId: await newAlbum() });
    expect((await client.put(`/songs/${id}`, { ...yes, title: 'No' })).status).toBe(200);
    expect(await songOf(id)).toEqual({ id, ...yes, title: 'No', duration: null, albumId: null });
  });

  it('can be deleted, and disappear from albums and lists', async () => {
    const albumId = await newAlbum();
    const title = unique();
    const id = await newSong({ ...yes, title, albumId });
    expect((await client.delete(`/songs/${id}`)).status).toBe(200);
    expect(await client.get(`/songs/${id}`)).toMatchObject({ status: 404, body: { code: 'SONG_NOT_FOUND' } });
    expect((await albumOf(albumId))?.songs).toEqual([]);
    expect(await search(`title=${title}`)).toEqual([]);
    expect((await client.delete(`/songs/${id}`)).status).toBe(404);
  });

  it('of an album that does not exist are 404', async () => {
    const gone = await newAlbum();
    await client.delete(`/albums/${gone}`);
    const id = await newSong();
    for (const albumId of [gone, 'album-nothing', 'nothing', '', await newSong(), 'x'.repeat(20_000)]) {
      const missing = { status: 404, body: { status: 'fail', code: 'ALBUM_NOT_FOUND' } };
      expect(await client.post('/songs', { ...yes, albumId })).toMatchObject(missing);
      expect(await client.put(`/songs/${id}`, { ...yes, albumId })).toMatchObject(missing);
    }
    expect(await songOf(id)).toEqual({ id, ...yes, duration: null, albumId: null });
  });

  it.each([
    'Ünïcödé ЖИЗНЬ 生命 \u{1F3B5}',
    "'; DROP TABLE songs; --",
    '\u0001\t\r\n"\\',
    '<script>alert(1)</script>',
    '\u{1F3B5}'.repeat(1_000),
    '\uFFFF\uFDD0',
    '__proto__',
  ])('keep every character of %j', async (title) => {
    expect((await songOf(await newSong({ ...yes, title })))?.title).toBe(title);
  });

  it.each([2 ** 31 - 1, -(2 ** 31), 0])('keep the number %d', async (year) => {
    expect(await songOf(await newSong({ ...yes, year, duration: year }))).toMatchObject({ year, duration: year });
  });
});

describe('searching songs', () => {
  it('finds parts of title and performer in any case, with exactly three keys each', async () => {
    const word = unique();
    const id = await newSong({ ...yes, title: `Über ${word} Alles`, performer: `ÉDITH ${word}` });
    const other = await newSong({ ...yes, title: `Nur ${word}` });
    const found = [{ id, title: `Über ${word} Alles`, performer: `ÉDITH ${word}` }];
    expect(await search(`title=${encodeURIComponent(`ÜBER ${word.toUpperCase()}`)}`)).toEqual(found);
    expect(await search(`performer=${encodeURIComponent(`édith ${word}`)}`)).toEqual(found);
    expect(await search(`title=${word}&performer=${encodeURIComponent('édith')}`)).toEqual(found);
    expect(await search(`title=${word}&performer=unknown`)).toEqual([]);
    expect((await search(`title=${word}`)).map((song) => song.id).sort()).toEqual([id, other].sort());
    expect((await search(`title=${word}&performer=&unknown=1`)).length).toBe(2);
  });

  it.each(['%', '_', '\\', "'", '"'])('takes %s literally', async (sign) => {
    const word = unique();
    await newSong({ ...yes, title: word });
    const id = await newSong({ ...yes, title: `${word}${sign}!` });
    expect((await search(`title=${encodeURIComponent(`${word}${sign}`)}`)).map((song) => song.id)).toEqual([id]);
  });

  it('returns pages without gap or overlap', async () => {
    const word = unique();
    const ids = await Promise.all(Array.from({ length: 7 }, () => newSong({ ...yes, title: word })));
    const seen: string[] = [];
    let cursor: string | null | undefined = '';
    do {
      const next: string = cursor ? `&cursor=${cursor}` : '';
      const { body } = await client.get(`/songs?title=${word}&limit=3${next}`);
      expect(body?.data?.songs?.length).toBeLessThanOrEqual(3);
      seen.push(...(body?.data?.songs ?? []).map((song) => song.id));
      cursor = body?.data?.nextCursor;
    } while (cursor);
    expect(seen).toEqual(ids.sort());
  });

  it('returns the whole catalog, in more than one chunk', async () => {
    const word = unique();
    const ids = [];
    for (let i = 0; i < 26; i++) {
      ids.push(...(await Promise.all(Array.from({ length: 20 }, () => newSong({ ...yes, title: word })))));
    }
    expect((await search(`title=${word}`)).map((song) => song.id)).toEqual(ids.sort());
    const { body } = await client.get('/songs');
    expect(Object.keys(body?.data ?? {})).toEqual(['songs']);
    const all = new Set(body?.data?.songs?.map((song) => song.id));
    expect(ids.filter((id) => !all.has(id))).toEqual([]);
  });
});

describe('reading your own writes', () => {
  it('shows the change in every following read by any client', async () => {
    for (let round = 0; round < 30; round++) {
      const albumId = await newAlbum({ ...viva, year: round });
      expect((await albumOf(albumId))?.year).toBe(round);
      const title = unique();
      const id = await newSong({ ...yes, title, albumId });
      const [inAlbum, found] = await Promise.all([albumOf(albumId), search(`title=${title}`)]);
      expect([inAlbum?.songs[0]?.id, found[0]?.id]).toEqual([id, id]);
    }
  });

  it('applies concurrent changes of one album one after the other', async () => {
    const id = await newAlbum();
    const changes = Array.from({ length: 20 }, (_, year) => client.put(`/albums/${id}`, { ...viva, year }));
    expect(new Set((await Promise.all(changes)).map(({ status }) => status))).toEqual(new Set([200]));
    expect((await client.get(`/albums/${id}`)).headers.get('etag')).toMatch(/^"21-/);
  });
});

describe('ETags', () => {
  it('let a client skip what it has cached', async () => {
    const path = `/albums/${await newAlbum()}`;
    const etag = (await client.get(path)).headers.get('etag') ?? '';
    expect(await client.get(path, { 'if-none-match': etag })).toMatchObject({ status: 304, text: '' });
    await client.put(path, { ...viva, year: 1 });
    expect((await client.get(path, { 'if-none-match': etag })).status).toBe(200);
  });

  it('change with an album’s songs', async () => {
    const albumId = await newAlbum();
    const etag = (await client.get(`/albums/${albumId}`)).headers.get('etag') ?? '';
    await newSong({ ...yes, albumId });
    expect((await client.get(`/albums/${albumId}`, { 'if-none-match': etag })).status).toBe(200);
  });

  it('guard a change: 412 with the current tag when it no longer matches', async () => {
    for (const [path, change] of [
      [`/albums/${await newAlbum()}`, viva],
      [`/songs/${await newSong()}`, yes],
    ] as const) {
      const old = (await client.get(path)).headers.get('etag') ?? '';
      expect((await client.put(path, change, { 'if-match': old })).status).toBe(200);
      const refused = await client.put(path, change, { 'if-match': old });
      const current = (await client.get(path)).headers.get('etag') ?? '';
      expect([refused.status, refused.body?.status, refused.headers.get('etag')]).toEqual([412, 'fail', current]);
      expect((await client.delete(path, { 'if-match': `W/${current}` })).status).toBe(412);
      expect((await client.delete(path, { 'if-match': `"9-x", ${current}` })).status).toBe(200);
      expect((await client.delete(path, { 'if-match': '*' })).status).toBe(404);
    }
  });

  it('let exactly one of many concurrent changes win', async () => {
    const path = `/albums/${await newAlbum()}`;
    const etag = (await client.get(path)).headers.get('etag') ?? '';
    const changes = Array.from({ length: 10 }, (_, year) => client.put(path, { ...viva, year }, { 'if-match': etag }));
    const statuses = (await Promise.all(changes)).map(({ status }) => status).sort();
    expect(statuses).toEqual([200, ...Array.from({ length: 9 }, () => 412)]);
  });
});

describe('idempotency keys', () => {
  const keyed = () => ({ 'idempotency-key': randomUUID() });

  it('give one effect and the same answer', async () => {
    const title = unique();
    const key = keyed();
    const first = await client.post('/songs', { ...yes, title }, key);
    const again = await client.post('/songs', { ...yes, title }, key);
    expect([again.status, again.body]).toEqual([first.status, first.body]);
    expect([first.headers.get('idempotency-replayed'), again.headers.get('idempotency-replayed')]).toEqual([
      null,
      'true',
    ]);
    expect(await search(`title=${title}`)).toHaveLength(1);
  });

  it('give one effect to concurrent requests', async () => {
    const title = unique();
    const key = keyed();
    const answers = await Promise.all(Array.from({ length: 10 }, () => client.post('/songs', { ...yes, title }, key)));
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([201]));
    expect(new Set(answers.map(({ body }) => body?.data?.songId)).size).toBe(1);
    expect(await search(`title=${title}`)).toHaveLength(1);
  });

  it('are 422 with another body', async () => {
    const key = keyed();
    await client.post('/albums', viva, key);
    const answer = await client.post('/albums', { ...viva, year: 1 }, key);
    expect([answer.status, answer.body?.code]).toEqual([422, 'IDEMPOTENCY_KEY_REUSED']);
  });

  it('are checked before existence and If-Match', async () => {
    const path = `/albums/${await newAlbum()}`;
    const etag = (await client.get(path)).headers.get('etag') ?? '';
    const change = { ...keyed(), 'if-match': etag };
    expect((await client.put(path, viva, change)).status).toBe(200);
    expect((await client.put(path, viva, change)).status).toBe(200);
    const remove = keyed();
    expect((await client.delete(path, remove)).status).toBe(200);
    const again = await client.delete(path, remove);
    expect([again.status, again.headers.get('idempotency-replayed')]).toEqual([200, 'true']);
    expect((await client.put(path, viva, change)).headers.get('idempotency-replayed')).toBe('true');
  });

  it('do not remember failures', async () => {
    const albumId = await newAlbum();
    const id = await newSong();
    await client.delete(`/albums/${albumId}`);
    const key = keyed();
    expect((await client.put(`/songs/${id}`, { ...yes, albumId }, key)).status).toBe(404);
    expect((await client.put(`/songs/${id}`, yes, key)).status).toBe(200);
  });
});

describe('the server itself', () => {
  it.each(['/', '/health', '/livez', '/readyz', '/docs/json'])('answers GET %s', async (path) => {
    const { status, headers } = await client.get(path);
    expect([status, headers.get('content-type')]).toEqual([200, 'application/json; charset=utf-8']);
  });

  it('shows a line per dependency', async () => {
    const { text } = await client.get('/health');
    const { data } = JSON.parse(text) as { data: { checks: Record<string, { ok: boolean }> } };
    expect(Object.keys(data.checks)).toEqual(
      expect.arrayContaining(['database', 'log', 'lag', 'quarantine', 'files', 'mail']),
    );
  });

  it('redirects from / to its API page', async () => {
    const { text } = await client.get('/');
    const { data } = JSON.parse(text) as { data: { name: string; docs: string } };
    expect(data).toMatchObject({ name: 'OpenMusic', docs: expect.stringMatching(/\/docs$/) });
  });
});
