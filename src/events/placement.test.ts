import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
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

  it('stays as it was when the first logs were written', () => {
    const streams = ['album-1', 'album-0198f5f43c4b7a318a411f2f3a4b5c6d', 'song-1', 'playlist-1', 'job-ключ'];
    expect(streams.map((stream) => placement.place(stream).partition)).toEqual([2, 5, 1, 0, 0]);
  });

  it('knows no place for a stream of an unknown category', () => {
    expect(() => placement.place('artist-1')).toThrow('No topic holds streams like artist-1');
    expect(placement.belongs('artist-1', { topic: 'music.catalog', partition: 0 })).toBe(false);
  });

  it('puts all likes of an album where the album would be', () => {
    const id = fc.uuid().map((uuid) => uuid.replaceAll('-', ''));
    fc.assert(
      fc.property(id, id, fc.integer({ min: 1, max: 100 }), (album, account, partitions) => {
        const like = partitionOf(`like-album-${album}-${account}`, partitions);
        expect(like).toBe(partitionOf(`album-${album}`, partitions));
      }),
    );
  });

  it('lets a stream stand only where it is put', () => {
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

  it('lets a genesis stream stand only in its partition', () => {
    for (const where of placement.all) {
      const homes = placement.all.filter((each) => placement.belongs(placement.genesisOf(where), each));
      expect(homes).toEqual([where]);
    }
  });
});
