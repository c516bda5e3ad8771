import { hash } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { fill } from '../../bench/generator/fill.ts';
import { generate } from '../../bench/generator/generator.ts';
import { decodeEvent } from '../../src/events/codec.ts';
import type { AnyEvent } from '../../src/events/events.ts';
import { createPlacement } from '../../src/events/placement.ts';
import type { Append } from '../../src/log/event-log.ts';
import { rebuild } from '../../src/projections/generations/rebuild.ts';
import { verifyLog } from '../../src/projections/generations/verify.ts';
import { type Core, embeddedSource, kafkaSource, type LogSource, openCore } from '../support/core.ts';
import { createDatabase, describeWithKafka, type TestDatabase } from '../support/servers/index.ts';

const EVENTS = 2_500;
const SEED = 7;

const typeOf = ({ record }: Append) => record.headers.ce_type ?? '';
const count = (records: readonly Append[], type: string) => records.filter((each) => typeOf(each) === type).length;

describe('generated records', () => {
  const placement = createPlacement('generated', 6);
  const make = (seed: number, events: number) => [...generate({ placement, seed, events })];
  const records = make(SEED, EVENTS);

  it('are the same for the same seed, byte by byte', () => {
    const digest = (seed: number) => hash('sha256', JSON.stringify(make(seed, 300)));
    expect(digest(SEED)).toBe(digest(SEED));
    expect(digest(SEED)).not.toBe(digest(SEED + 1));
  });

  it('have the same beginning for any length', () => {
    expect(make(SEED, 10)).toEqual(records.slice(0, 10));
  });

  it('include every event that needs no file, with and without an idempotency key', () => {
    const types = [
      ...['Album', 'Song'].flatMap((what) => [`${what}Created`, `${what}Changed`, `${what}Deleted`]),
      ...['PlaylistCreated', 'PlaylistChanged', 'PlaylistDeleted', 'SongsAddedToPlaylist', 'SongRemovedFromPlaylist'],
      ...['CollaboratorAdded', 'CollaboratorRemoved', 'AlbumLiked', 'AlbumUnliked'],
    ];
    expect(new Set(records.map(typeOf))).toEqual(new Set(types.map((type) => `openmusic.${type}`)));
    const keyed = records.filter(({ record }) => record.headers.ce_bodyhash !== '').length;
    expect(keyed / EVENTS).toBeCloseTo(0.2, 1);
  });

  it('only change playlists by users with access, with existing songs and their current titles', () => {
    const titles = new Map<string, string>();
    const members = new Map<string, Set<string>>();
    for (const { record } of records) {
      const event = decodeEvent(record.headers.ce_type ?? '', record.value);
      if (event.type === 'SongCreated' || event.type === 'SongChanged') titles.set(record.key, event.title);
      if (event.type === 'SongDeleted') titles.delete(record.key);
      if (event.type === 'PlaylistCreated') members.set(record.key, new Set([event.ownerId]));
      if (record.key.startsWith('playlist-')) expect(members.get(record.key)).toContain(record.headers.ce_actor);
      if (event.type === 'CollaboratorAdded') members.get(record.key)?.add(event.accountId);
      if (event.type === 'CollaboratorRemoved') members.get(record.key)?.delete(event.accountId);
      for (const { songId, title } of mentionedIn(event)) expect(title).toBe(titles.get(songId));
    }
    expect(members.size).toBeGreaterThan(EVENTS / 100);
  });

  it('move songs between existing albums', () => {
    const albums = new Set<string>();
    const homes: (string | null)[] = [];
    for (const { record } of records) {
      const event = decodeEvent(record.headers.ce_type ?? '', record.value);
      if (event.type === 'AlbumCreated') albums.add(record.key);
      if (event.type === 'AlbumDeleted') albums.delete(record.key);
      if (event.type === 'SongCreated' || event.type === 'SongChanged') homes.push(event.albumId);
      const of = 'albumId' in event ? event.albumId : null;
      if (of !== null && of !== record.key) expect(albums).toContain(of);
    }
    expect(homes.filter((home) => home !== null).length).toBeGreaterThan(EVENTS / 2);
  });
});

const holdsGenerated = (source: LogSource) => {
  let database: TestDatabase;
  let core: Core;
  let records: Append[];
  beforeAll(async () => {
    database = await createDatabase();
    core = await openCore({ connection: database.connection, source });
    records = [...generate({ placement: core.placement, seed: SEED, events: EVENTS })];
    await fill(core.log, records);
    await core.settled();
  });
  afterAll(async () => {
    await core.close();
    await database.drop();
  });

  it('is accepted completely by the projector: no loser, no quarantine, no stop', async () => {
    const { lost, quarantined, stopped } = core.projectorReports;
    expect({ lost, quarantined, stopped }).toEqual({ lost: [], quarantined: [], stopped: [] });
    expect(await core.rows('stream_events')).toHaveLength(EVENTS + core.placement.all.length);
  });

  it('passes verification', async () => {
    const { partitions, faults } = await verifyLog({ log: core.log, placement: core.placement, voids: [] });
    expect(faults).toEqual([]);
    expect(partitions.map(({ losers }) => losers)).toEqual(partitions.map(() => ({})));
  });

  it('leaves what was created and not deleted', async () => {
    const left = (kind: string) =>
      count(records, `openmusic.${kind}Created`) - count(records, `openmusic.${kind}Deleted`);
    expect(await core.rows('albums')).toHaveLength(left('Album'));
    expect(await core.rows('songs')).toHaveLength(left('Song'));
    const playlists = await core.rows('playlists');
    expect(playlists.filter(({ deleted_at }) => deleted_at === null)).toHaveLength(left('Playlist'));
    const likes = count(records, 'openmusic.AlbumLiked') - count(records, 'openmusic.AlbumUnliked');
    expect(await core.rows('likes')).toHaveLength(likes);
  });

  it('gives equal read models when they are rebuilt', async () => {
    const result = await rebuild(core.rebuildOptions, new AbortController().signal);
    expect(result).toMatchObject({ differences: [], served: true });
  });
};

describe('a log of generated records, embedded,', () => holdsGenerated(embeddedSource));
describeWithKafka('a log of generated records, on Kafka,', ({ brokers }) => holdsGenerated(kafkaSource(brokers)));

/** The songs that an event of a playlist names. */
function mentionedIn(event: AnyEvent): readonly { readonly songId: string; readonly title: string }[] {
  if (event.type === 'SongsAddedToPlaylist') return event.entries;
  return event.type === 'SongRemovedFromPlaylist' ? [event] : [];
}
