import { randomUUID } from 'node:crypto';
import { beforeAll, describe, expect, it } from '@jest/globals';
import { serverUnderTest } from '../support/server-under-test.ts';
import { type Client, createClient } from '../support/client.ts';
import { avif, gif, jpeg, png, webp } from '../support/images.ts';
import { newPerson, type Person } from '../support/people.ts';

let client: Client;
let chris: Person;
let guy: Person;
beforeAll(async () => {
  const server = await serverUnderTest();
  client = createClient(server.url);
  [chris, guy] = [await newPerson(server.url), await newPerson(server.url)];
});

const done = { status: 'success', message: expect.any(String) };
const fails = (status: number, code: string) => ({ status, body: { status: 'fail', code } });
const missing = fails(404, 'ALBUM_NOT_FOUND');

async function newAlbum(): Promise<string> {
  const { body } = await client.post('/albums', { name: 'Viva la Vida', year: 2008 });
  return body?.data?.albumId ?? '';
}

describe('likes', () => {
  const likesOf = async (album: string) => {
    const { status, headers, body } = await client.get(`/albums/${album}/likes`);
    expect([status, headers.get('x-data-source')]).toEqual([200, expect.stringMatching(/^(cache|database)$/)]);
    expect(Object.keys(body?.data ?? {})).toEqual(['likes']);
    return body?.data?.likes;
  };

  it('are counted at once', async () => {
    const album = await newAlbum();
    expect(await likesOf(album)).toBe(0);
    expect(await chris.client.post(`/albums/${album}/likes`)).toMatchObject({ status: 201, body: done });
    expect(await likesOf(album)).toBe(1);
    expect((await guy.client.post(`/albums/${album}/likes`)).status).toBe(201);
    expect(await likesOf(album)).toBe(2);
    expect(await chris.client.delete(`/albums/${album}/likes`)).toMatchObject({ status: 200, body: done });
    expect(await likesOf(album)).toBe(1);
  });

  it('are counted once per user', async () => {
    const album = await newAlbum();
    const like = () => chris.client.post(`/albums/${album}/likes`);
    const all = await Promise.all(Array.from({ length: 8 }, like));
    expect(all.map(({ status }) => status).sort()).toEqual([201, ...Array.from({ length: 7 }, () => 400)]);
    expect(await like()).toMatchObject(fails(400, 'ALREADY_LIKED'));
    expect(await likesOf(album)).toBe(1);
    await chris.client.delete(`/albums/${album}/likes`);
    expect(await chris.client.delete(`/albums/${album}/likes`)).toMatchObject(fails(400, 'NOT_LIKED'));
    expect(await likesOf(album)).toBe(0);
  });

  it('with an Idempotency-Key are applied once, even if the like was removed since', async () => {
    const [path, headers] = [`/albums/${await newAlbum()}/likes`, { 'idempotency-key': randomUUID() }];
    await chris.client.send('POST', path, { headers });
    await chris.client.delete(path);
    const again = await chris.client.send('POST', path, { headers });
    expect([again.status, again.headers.get('idempotency-replayed')]).toEqual([201, 'true']);
    expect((await client.get(path)).body?.data?.likes).toBe(0);
  });

  it('of a missing album are 404', async () => {
    const gone = await newAlbum();
    await chris.client.post(`/albums/${gone}/likes`);
    await client.delete(`/albums/${gone}`);
    for (const album of [gone, 'album-none', 'none', 'album-%00']) {
      expect(await client.get(`/albums/${album}/likes`)).toMatchObject(missing);
      expect(await chris.client.post(`/albums/${album}/likes`)).toMatchObject(missing);
      expect(await chris.client.delete(`/albums/${album}/likes`)).toMatchObject(missing);
    }
  });

  it('require a login', async () => {
    const path = `/albums/${await newAlbum()}/likes`;
    for (const method of ['POST', 'DELETE']) {
      expect(await client.send(method, path)).toMatchObject(fails(401, 'AUTHENTICATION_REQUIRED'));
    }
  });
});

describe('covers', () => {
  const upload = (album: string, bytes: Buffer, { name = 'cover.png', type = 'image/png', field = 'cover' } = {}) => {
    const form = new FormData();
    form.append(field, new Blob([new Uint8Array(bytes)], { type }), name);
    return client.send('POST', `/albums/${album}/covers`, { raw: form });
  };
  const coverOf = async (album: string) => (await client.get(`/albums/${album}`)).body?.data?.album?.coverUrl;
  const fetched = async (url: string | null | undefined, headers: Record<string, string> = {}) => {
    const answer = await fetch(url!, { headers });
    return { status: answer.status, headers: answer.headers, bytes: Buffer.from(await answer.arrayBuffer()) };
  };

  it.each([
    ['PNG', png(), 'image/png'],
    ['JPEG', jpeg(), 'image/jpeg'],
    ['GIF', gif(), 'image/gif'],
    ['WebP', webp(), 'image/webp'],
    ['AVIF', avif(), 'image/avif'],
  ])('are stored as %s and served with its type', async (_, bytes, mediaType) => {
    const album = await newAlbum();
    expect(await coverOf(album)).toBeNull();
    expect(await upload(album, bytes)).toMatchObject({ status: 201, body: done });
    const { status, headers, bytes: served } = await fetched(await coverOf(album));
    expect([status, headers.get('content-type'), headers.get('x-content-type-options')]).toEqual([
      200,
      mediaType,
      'nosniff',
    ]);
    expect(served.equals(bytes)).toBe(true);
  });

  it('are replaced: the new one has another address, and the old address is 404', async () => {
    const album = await newAlbum();
    await upload(album, png());
    const before = await coverOf(album);
    const etag = (await fetched(before)).headers.get('etag') ?? '';
    await upload(album, gif());
    const after = await coverOf(album);
    expect(after).not.toBe(before);
    expect((await fetched(after)).headers.get('content-type')).toBe('image/gif');
    expect((await fetched(before)).status).toBe(404);
    for (const known of [etag, '*']) expect((await fetched(before, { 'if-none-match': known })).status).toBe(404);
    expect((await fetched(before, { range: 'bytes=0-3' })).status).toBe(404);
  });

  it('are deleted with their album, at once', async () => {
    const album = await newAlbum();
    await upload(album, png());
    const url = await coverOf(album);
    expect((await fetched(url)).status).toBe(200);
    await client.delete(`/albums/${album}`);
    const gone = await fetched(url);
    expect([gone.status, gone.headers.get('etag')]).toEqual([404, null]);
    expect(JSON.parse(gone.bytes.toString())).toMatchObject({ status: 'fail', code: 'COVER_NOT_FOUND' });
    expect((await fetch(url!, { method: 'HEAD' })).status).toBe(404);
  });

  it('are revalidated by caches on each use, and served in ranges', async () => {
    const [album, bytes] = [await newAlbum(), png({ padding: 1_000 })];
    await upload(album, bytes);
    const url = await coverOf(album);
    const whole = await fetched(url);
    const etag = whole.headers.get('etag') ?? '';
    expect(whole.headers.get('cache-control')).toBe('no-cache');
    expect([(await fetched(url, { 'if-none-match': etag })).status, whole.headers.get('accept-ranges')]).toEqual([
      304,
      'bytes',
    ]);
    const part = await fetched(url, { range: 'bytes=10-19' });
    expect([part.status, part.headers.get('content-range')]).toEqual([206, `bytes 10-19/${bytes.length}`]);
    expect(part.bytes.equals(bytes.subarray(10, 20))).toBe(true);
    const last = await fetched(url, { range: 'bytes=-5' });
    expect(last.bytes.equals(bytes.subarray(-5))).toBe(true);
    const beyond = await fetched(url, { range: `bytes=${bytes.length}-` });
    expect([beyond.status, beyond.headers.get('content-range')]).toEqual([416, `bytes */${bytes.length}`]);
    expect((await fetched(url, { range: 'bytes=0-9', 'if-range': '"another"' })).status).toBe(200);
    expect((await fetched(url, { range: 'lines=0-9' })).status).toBe(200);
  });

  it('are recognised as images by their bytes, not by their file name', async () => {
    const album = await newAlbum();
    const svg = Buffer.from('<svg xmlns="http://www.w3.org/2000/svg" width="1" height="1"/>');
    for (const bytes of [Buffer.from('text'), Buffer.alloc(0), svg, png().subarray(0, 12)]) {
      expect(await upload(album, bytes)).toMatchObject(fails(400, 'NOT_AN_IMAGE'));
    }
    expect(await coverOf(album)).toBeNull();
    expect((await upload(album, png(), { name: 'a.txt', type: 'text/plain' })).status).toBe(201);
  });

  it('have at most 512,000 bytes: a larger one gets a complete 413', async () => {
    const album = await newAlbum();
    const overhead = png({ padding: 1 }).length - 1;
    expect((await upload(album, png({ padding: 512_000 - overhead }))).status).toBe(201);
    const before = await coverOf(album);
    for (const size of [512_001, 900 * 1_024, 5_000_000]) {
      expect(await upload(album, png({ padding: size - overhead }))).toMatchObject(fails(413, 'BODY_TOO_LARGE'));
    }
    expect(await coverOf(album)).toBe(before);
  });

  it('must be the only field of the form, named cover', async () => {
    const album = await newAlbum();
    expect(await upload(album, png(), { field: 'picture' })).toMatchObject(fails(400, 'VALIDATION_FAILED'));
    const twice = new FormData();
    for (const name of ['a.png', 'b.png']) twice.append('cover', new Blob([new Uint8Array(png())]), name);
    expect((await client.send('POST', `/albums/${album}/covers`, { raw: twice })).status).toBe(400);
    expect((await client.send('POST', `/albums/${album}/covers`, { raw: new FormData() })).status).toBe(400);
    expect(await client.post(`/albums/${album}/covers`, {})).toMatchObject(fails(415, 'UNSUPPORTED_MEDIA_TYPE'));
    expect(await coverOf(album)).toBeNull();
  });

  it('of a missing album are 404, but an invalid image is refused first', async () => {
    for (const album of ['album-none', 'none', 'album-%00']) {
      expect(await upload(album, png())).toMatchObject(missing);
      expect(await upload(album, Buffer.from('text'))).toMatchObject(fails(400, 'NOT_AN_IMAGE'));
    }
  });

  it('with one Idempotency-Key are stored once; with another image it is 422', async () => {
    const [album, headers] = [await newAlbum(), { 'idempotency-key': randomUUID() }];
    const send = (bytes: Buffer) => {
      const form = new FormData();
      form.append('cover', new Blob([new Uint8Array(bytes)]), 'cover');
      return client.send('POST', `/albums/${album}/covers`, { raw: form, headers });
    };
    await send(png());
    const cover = await coverOf(album);
    expect((await send(png())).headers.get('idempotency-replayed')).toBe('true');
    expect(await coverOf(album)).toBe(cover);
    expect(await send(gif())).toMatchObject(fails(422, 'IDEMPOTENCY_KEY_REUSED'));
  });

  it('at an address that was never issued are 404', async () => {
    for (const file of ['none.png', '..%2Fkeys', '%00', `${randomUUID()}.png`]) {
      expect(await client.get(`/covers/${file}`)).toMatchObject(fails(404, 'COVER_NOT_FOUND'));
    }
  });
});
