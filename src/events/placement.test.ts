import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { likedIn } from './likes.ts';
import { createPlacement, murmur2, partitionOf } from './placement.ts';

describe('murmur2', () => {
  it.each([
    ['21', -973932308],
    ['foobar', -790332482],
    ['a-little-bit-long-string', -985981536],
    ['a-little-bit-longer-string', -1486304829],
    ['lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8', -58897971],
    ['abc', 479470107],
  ])('of %s is as Kafka publishes it', (text, hash) => {
    expect(murmur2(Buffer.from(text))).toBe(hash);
  });
});

describe('a placement', () => {
  const placement = createPlacement('music', 6);

  it('has the event topics with their namespace, and all their partitions', () => {
    expect(placement.topics).toEqual(['music.catalog', 'music.playlists', 'music.likes', 'music.jobs']);
    expect(placement.all).toHaveLength(24);
    expect(placement.all[7]).toEqual({ topic: 'music.playlists', partition: 1 });
  });

  it.each([
    ['album-1', 'music.catalog'],
    ['song-1', 'music.catalog'],
    ['playlist-1', 'music.playlists'],
    ['like-album-1-user-2', 'music.likes'],
    ['job-1', 'music.jobs'],
  ])('puts %s into %s', (stream, topic) => {
    expect(placement.place(stream).topic).toBe(topic);
  });

  it('never changes the partition of a stream', () => {
    const streams = ['album-1', 'album-0198f5f43c4b7a318a411f2f3a4b5c6d', 'song-1', 'playlist-1', 'job-ключ'];
    expect(streams.map((stream) => placement.place(stream).partition)).toEqual([2, 5, 1, 0, 0]);
  });

  it('throws for a stream of an unknown category', () => {
    expect(() => placement.place('artist-1')).toThrow('There is no topic for streams like artist-1');
    expect(placement.belongs('artist-1', { topic: 'music.catalog', partition: 0 })).toBe(false);
  });

  it('puts all likes of an album or a song into the partition with the number of its own', () => {
    const ofUs = fc.uuid().map((uuid) => uuid.replaceAll('-', ''));
    /** Servers before this one made ids of letters, digits, `-` and `_`. */
    const ofOthers = fc.stringMatching(/^[A-Za-z0-9_-]{16}$/).filter((id) => !id.includes('-user-'));
    const id = fc.oneof(ofUs, ofOthers);
    const category = fc.constantFrom('album', 'song');
    fc.assert(
      fc.property(category, id, id, fc.integer({ min: 1, max: 100 }), (kind, liked, account, partitions) => {
        const like = partitionOf(`like-${kind}-${liked}-user-${account}`, partitions);
        expect(like).toBe(partitionOf(`${kind}-${liked}`, partitions));
      }),
    );
  });

  it.each([
    ['like-album-0198f5f43c4b7a318a411f2f3a4b5c6d-user-0198f5f43c4b7a318a411f2f3a4b5c70', 5],
    ['like-album-Mk8AnmCp210PwT6B-user-qFTBYVQH', 0],
    ['like-album-Mk8-AnmCp_210Pw--user-qFT-BYVQH', 1],
    ['like-song-Qbax5Oy7L8WKf74l-user-2', 0],
    ['like-album-1-user-user-2', 0],
    ['like-album-1', 4],
  ])('puts %s into partition %i of 6, for ever', (stream, partition) => {
    expect(partitionOf(stream, 6)).toBe(partition);
  });

  it.each([
    ['like-album-Mk8-AnmCp_210Pw--user-qFT-BYVQH', 'album-Mk8-AnmCp_210Pw-'],
    ['like-song-Qbax5Oy7L8WKf74l-user-2', 'song-Qbax5Oy7L8WKf74l'],
    ['like-album-a-user-b-user-c', 'album-a-user-b'],
    ['like-album-1', undefined],
    ['album-1-user-2', undefined],
  ])('finds what %s is about', (stream, liked) => {
    expect(likedIn(stream)).toBe(liked);
  });

  it('accepts a stream only in its own partition', () => {
    const stream = fc
      .tuple(fc.constantFrom('album', 'song', 'playlist', 'job'), fc.uuid())
      .map((parts) => parts.join('-'));
    fc.assert(
      fc.property(stream, (each) => {
        const homes = placement.all.filter((where) => placement.belongs(each, where));
        expect(homes).toEqual([placement.place(each)]);
      }),
    );
  });

  it('accepts a genesis stream only in its own partition', () => {
    for (const where of placement.all) {
      const homes = placement.all.filter((each) => placement.belongs(placement.genesisOf(where), each));
      expect(homes).toEqual([where]);
    }
  });
});
