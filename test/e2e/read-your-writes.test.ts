import { randomUUID } from 'node:crypto';
import { beforeAll, describe, expect, it } from '@jest/globals';
import { serverUnderTest } from '../support/server-under-test.ts';
import { type Answer, type Client, createClient } from '../support/client.ts';
import { png } from '../support/images.ts';
import { newPerson, type Person } from '../support/people.ts';

let anonymous: Client;
let owner: Person;
let friend: Person;
beforeAll(async () => {
  const server = await serverUnderTest();
  anonymous = createClient(server.url);
  [owner, friend] = [await newPerson(server.url), await newPerson(server.url)];
});

/** An album with a song in a playlist that is shared with a friend, who likes the album. */
interface World {
  readonly albumId: string;
  readonly songId: string;
  readonly other: string;
  readonly playlistId: string;
  /** A word in the titles of its songs, and in no others. */
  readonly word: string;
}

const READS = {
  album: ({ albumId }: World) => anonymous.get(`/albums/${albumId}`),
  likes: ({ albumId }: World) => anonymous.get(`/albums/${albumId}/likes`),
  song: ({ songId }: World) => anonymous.get(`/songs/${songId}`),
  search: ({ word }: World) => anonymous.get(`/songs?title=${word}`),
  playlist: ({ playlistId }: World) => owner.client.get(`/playlists/${playlistId}/songs`),
  activities: ({ playlistId }: World) => owner.client.get(`/playlists/${playlistId}/activities`),
  playlists: () => owner.client.get('/playlists'),
  'the friend’s playlist': ({ playlistId }: World) => friend.client.get(`/playlists/${playlistId}/songs`),
  'the friend’s playlists': () => friend.client.get('/playlists'),
};
type Read = keyof typeof READS;

const songOf = ({ word, albumId }: Pick<World, 'word' | 'albumId'>, title = '') => ({
  title: `${word} ${title}`,
  year: 2008,
  genre: 'Indie',
  performer: 'Coldplay',
  albumId,
});

function cover(): FormData {
  const form = new FormData();
  form.append('cover', new Blob([new Uint8Array(png())]), 'cover.png');
  return form;
}

const WITH_THE_SONG: Read[] = ['album', 'search', 'playlist', 'the friend’s playlist'];
const OF_THE_PLAYLIST: Read[] = ['playlist', 'activities', 'the friend’s playlist'];

/** The reads that each write must change, and no others. */
const WRITES: readonly [name: string, write: (world: World) => Promise<Answer>, shows: readonly Read[]][] = [
  ['changing the album', ({ albumId }) => anonymous.put(`/albums/${albumId}`, { name: 'X', year: 1 }), ['album']],
  ['adding a cover', ({ albumId }) => anonymous.send('POST', `/albums/${albumId}/covers`, { raw: cover() }), ['album']],
  ['liking the album', ({ albumId }) => owner.client.post(`/albums/${albumId}/likes`), ['likes']],
  ['removing the like', ({ albumId }) => friend.client.delete(`/albums/${albumId}/likes`), ['likes']],
  ['deleting the album', ({ albumId }) => anonymous.delete(`/albums/${albumId}`), ['album', 'likes', 'song']],
  ['creating another song', (world) => anonymous.post('/songs', songOf(world)), ['album', 'search']],
  [
    'renaming the song',
    (world) => anonymous.put(`/songs/${world.songId}`, songOf(world, 'renamed')),
    ['song', ...WITH_THE_SONG],
  ],
  [
    'removing the song from the album',
    (world) => anonymous.put(`/songs/${world.songId}`, { ...songOf(world), albumId: undefined }),
    ['album', 'song'],
  ],
  ['deleting the song', ({ songId }) => anonymous.delete(`/songs/${songId}`), ['song', ...WITH_THE_SONG]],
  ['creating a playlist', () => owner.client.post('/playlists', { name: 'Another' }), ['playlists']],
  [
    'renaming the playlist',
    ({ playlistId }) => owner.client.patch(`/playlists/${playlistId}`, { name: 'Renamed' }),
    ['playlist', 'playlists', 'the friend’s playlist', 'the friend’s playlists'],
  ],
  [
    'adding a song',
    ({ playlistId, other }) => friend.client.post(`/playlists/${playlistId}/songs`, { songId: other }),
    OF_THE_PLAYLIST,
  ],
  [
    'removing a song',
    ({ playlistId, songId }) => owner.client.delete(`/playlists/${playlistId}/songs`, {}, { songId }),
    OF_THE_PLAYLIST,
  ],
  [
    'removing the collaborator',
    ({ playlistId }) => owner.client.delete('/collaborations', {}, { playlistId, userId: friend.id }),
    ['the friend’s playlist', 'the friend’s playlists'],
  ],
  [
    'deleting the playlist',
    ({ playlistId }) => owner.client.delete(`/playlists/${playlistId}`),
    ['playlist', 'activities', 'playlists', 'the friend’s playlist', 'the friend’s playlists'],
  ],
];

async function newWorld(): Promise<World> {
  const word = `w${randomUUID().replaceAll('-', '')}`;
  const albumId = (await anonymous.post('/albums', { name: 'Viva la Vida', year: 2008 })).body?.data?.albumId ?? '';
  const newSong = async (details: object) => (await anonymous.post('/songs', details)).body?.data?.songId ?? '';
  const songId = await newSong(songOf({ word, albumId }));
  const other = await newSong({ ...songOf({ word: 'Other', albumId }), albumId: undefined });
  const playlistId = (await owner.client.post('/playlists', { name: 'Ours' })).body?.data?.playlistId ?? '';
  await owner.client.post(`/playlists/${playlistId}/songs`, { songId });
  await owner.client.post('/collaborations', { playlistId, userId: friend.id });
  await friend.client.post(`/albums/${albumId}/likes`);
  return { albumId, songId, other, playlistId, word };
}

/** The parts of an answer that do not differ per request. */
async function seen(world: World): Promise<Map<string, string>> {
  const answers = Object.entries(READS).map(async ([name, read]) => {
    const { status, text } = await read(world);
    return [name, `${status} ${text.replace(/"requestId":"[^"]*"/, '')}`] as const;
  });
  return new Map(await Promise.all(answers));
}

describe('every read shows a change as soon as its client has the answer', () => {
  it.each(WRITES)('%s', async (_, write, shows) => {
    const world = await newWorld();
    const before = await seen(world);
    expect((await write(world)).status).toBeLessThan(300);
    const after = await seen(world);
    const changed = [...after].filter(([name, answer]) => before.get(name) !== answer).map(([name]) => name);
    expect(changed.sort()).toEqual([...shows].sort());
  });
});
