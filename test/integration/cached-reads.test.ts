import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { type RunningApp, startApp } from '../support/app.ts';
import { type Client, createClient } from '../support/client.ts';
import { newPerson, type Person } from '../support/people.ts';

let app: RunningApp;
let anonymous: Client;
let owner: Person;
let friend: Person;
beforeAll(async () => {
  app = await startApp();
  anonymous = createClient(app.url);
  [owner, friend] = [await newPerson(app.url), await newPerson(app.url)];
});
afterAll(() => app.stop());

const song = { title: 'Yes', year: 2008, genre: 'Indie', performer: 'Coldplay' };
const created = async (sent: ReturnType<Client['post']>): Promise<string> => {
  const { body } = await sent;
  return body?.data?.albumId ?? body?.data?.songId ?? body?.data?.playlistId ?? '';
};

/** An album with a song in a shared playlist, and another one of each. */
async function newWorld() {
  const album = await created(anonymous.post('/albums', { name: 'Viva', year: 2008 }));
  const other = await created(anonymous.post('/albums', { name: 'Parachutes', year: 2000 }));
  const track = await created(anonymous.post('/songs', { ...song, albumId: album }));
  const loose = await created(anonymous.post('/songs', song));
  const playlist = await created(owner.client.post('/playlists', { name: 'Morning' }));
  const evening = await created(owner.client.post('/playlists', { name: 'Evening' }));
  await owner.client.post(`/playlists/${playlist}/songs`, { songId: track });
  await owner.client.post('/collaborations', { playlistId: playlist, userId: friend.id });
  return { album, other, track, loose, playlist, evening };
}
type World = Awaited<ReturnType<typeof newWorld>>;

const reads = {
  album: ({ album }: World) => anonymous.get(`/albums/${album}`),
  likes: ({ album }: World) => anonymous.get(`/albums/${album}/likes`),
  song: ({ track }: World) => anonymous.get(`/songs/${track}`),
  playlist: ({ playlist }: World) => owner.client.get(`/playlists/${playlist}/songs`),
  'list of the owner': () => owner.client.get('/playlists'),
  'list of the collaborator': () => friend.client.get('/playlists'),
};
type Read = keyof typeof reads;
const READS = Object.keys(reads) as Read[];

async function hits(): Promise<number> {
  const { text } = await anonymous.get('/metrics');
  return Number(/^openmusic_cache_hits_total (\d+)/m.exec(text)?.[1]);
}

/** The source of the answer by the server's own metrics, which must match its header. */
async function sourceOf(read: Read, world: World): Promise<'cache' | 'database'> {
  const before = await hits();
  const { status, headers } = await reads[read](world);
  expect(status).toBe(200);
  const source = (await hits()) > before ? 'cache' : 'database';
  const said = headers.get('x-data-source');
  if (said !== null) expect(said).toBe(source);
  return source;
}

async function warm(world: World): Promise<void> {
  for (const read of READS) {
    await reads[read](world);
    expect([read, await sourceOf(read, world)]).toEqual([read, 'cache']);
  }
}

const others = { ...song, title: 'No' };
/** The effect of each write: only these answers are read from the database again. */
const writes: [string, (world: World) => Promise<{ status: number }>, Read[]][] = [
  ['an album is created', () => anonymous.post('/albums', { name: 'X&Y', year: 2005 }), []],
  ['an album is changed', ({ album }) => anonymous.put(`/albums/${album}`, { name: 'X&Y', year: 2005 }), ['album']],
  ['another album is deleted', ({ other }) => anonymous.delete(`/albums/${other}`), ['song']],
  ['it is liked', ({ album }) => friend.client.post(`/albums/${album}/likes`, {}), ['likes']],
  ['another album is liked', ({ other }) => friend.client.post(`/albums/${other}/likes`, {}), []],
  ['a song is created', () => anonymous.post('/songs', song), []],
  ['a song is created in it', ({ album }) => anonymous.post('/songs', { ...song, albumId: album }), ['album']],
  ['a song is changed', ({ track }) => anonymous.put(`/songs/${track}`, others), ['album', 'song', 'playlist']],
  ['another song is deleted', ({ loose }) => anonymous.delete(`/songs/${loose}`), ['album', 'playlist']],
  ['a playlist is made', () => owner.client.post('/playlists', { name: 'Night' }), ['list of the owner']],
  [
    'a playlist is renamed',
    ({ playlist }) => owner.client.patch(`/playlists/${playlist}`, { name: 'Noon' }),
    ['playlist', 'list of the owner', 'list of the collaborator'],
  ],
  [
    'another playlist is deleted',
    ({ evening }) => owner.client.delete(`/playlists/${evening}`),
    ['list of the owner', 'list of the collaborator'],
  ],
  [
    'a song is added to it',
    ({ playlist, loose }) => friend.client.post(`/playlists/${playlist}/songs`, { songId: loose }),
    ['playlist'],
  ],
  [
    'a song is removed from it',
    ({ playlist, track }) => owner.client.delete(`/playlists/${playlist}/songs`, {}, { songId: track }),
    ['playlist'],
  ],
  [
    'another playlist is shared',
    ({ evening }) => owner.client.post('/collaborations', { playlistId: evening, userId: friend.id }),
    ['list of the collaborator'],
  ],
  [
    'its collaborator is removed',
    ({ playlist }) => owner.client.delete('/collaborations', {}, { playlistId: playlist, userId: friend.id }),
    ['playlist', 'list of the collaborator'],
  ],
];

describe('cached responses', () => {
  it.each(writes)('are read again once %s, and no others', async (_what, write, changed) => {
    const world = await newWorld();
    await warm(world);
    expect((await write(world)).status).toBeLessThan(300);
    const sources = [];
    for (const read of READS) sources.push([read, await sourceOf(read, world), await sourceOf(read, world)]);
    expect(sources).toEqual(READS.map((read) => [read, changed.includes(read) ? 'database' : 'cache', 'cache']));
  });

  it('equal those of the database, byte for byte and tag for tag', async () => {
    const world = await newWorld();
    for (const read of READS) {
      const [first, second] = [await reads[read](world), await reads[read](world)];
      expect([second.text, second.headers.get('etag')]).toEqual([first.text, first.headers.get('etag')]);
      expect(second.headers.get('content-type')).toBe(first.headers.get('content-type'));
    }
  });

  it('are 304 for a client that has them', async () => {
    const world = await newWorld();
    await warm(world);
    const { headers } = await reads.playlist(world);
    const again = await owner.client.get(`/playlists/${world.playlist}/songs`, {
      'if-none-match': headers.get('etag') ?? '',
    });
    expect([again.status, again.headers.get('x-data-source')]).toEqual([304, 'cache']);
  });

  it('are only for users who may read them', async () => {
    const world = await newWorld();
    await warm(world);
    const path = `/playlists/${world.playlist}/songs`;
    const stranger = await newPerson(app.url);
    expect((await friend.client.get(path)).headers.get('x-data-source')).toBe('cache');
    expect((await stranger.client.get(path)).status).toBe(403);
    await owner.client.delete('/collaborations', {}, { playlistId: world.playlist, userId: friend.id });
    expect((await friend.client.get(path)).status).toBe(403);
    await owner.client.delete(`/playlists/${world.playlist}`);
    expect((await owner.client.get(path)).status).toBe(404);
  });

  it('are gone after a restart', async () => {
    const world = await newWorld();
    await warm(world);
    await app.restart();
    expect(await sourceOf('likes', world)).toBe('database');
  });
});
