import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { generateKeyBetween, generateNKeysBetween } from 'fractional-indexing';
import { type EntryList, evolveEntries, noEntries } from './entry-list.ts';
import type { PlaylistEvent } from './playlists.ts';

const playlistId = 'playlist-1';
const fold = (...events: readonly PlaylistEvent[]) => events.reduce(evolveEntries, noEntries);
const shown = ({ present }: EntryList) => present.map(({ entryId, songId }) => `${entryId}=${songId}`);

type Places = Readonly<Record<string, string>>;
const placesOf = (places: Places) => Object.entries(places).map(([entryId, orderKey]) => ({ entryId, orderKey }));
const songOf = (entryId: string) => `song-${entryId}`;

const added = (places: Places, rekeyed: Places = {}): PlaylistEvent => ({
  type: 'SongsAddedToPlaylist',
  playlistId,
  rekeyed: placesOf(rekeyed),
  entries: placesOf(places).map((place) => ({ ...place, songId: songOf(place.entryId), title: 't' })),
});
const moved = (places: Places, rekeyed: Places = {}): PlaylistEvent => ({
  type: 'SongsMovedInPlaylist',
  playlistId,
  rekeyed: placesOf(rekeyed),
  entries: placesOf(places).map((place) => ({ ...place, songId: songOf(place.entryId) })),
});
const removed = (...entryIds: string[]): PlaylistEvent => ({
  type: 'SongRemovedFromPlaylist',
  playlistId,
  songId: 's',
  entryIds,
  title: 't',
  performer: 'p',
  year: 1,
});
const restored = (places: Places): PlaylistEvent => ({
  type: 'PlaylistRestored',
  playlistId,
  restoredVersion: 1,
  name: 'n',
  description: null,
  entries: placesOf(places),
});
const three = added({ a: 'a0', b: 'a1', c: 'a2' });

describe('entries', () => {
  it.each<[string, PlaylistEvent[], string]>([
    ['stand in the order of their keys', [added({ b: 'a1', a: 'a0' }), added({ c: 'a0V' })], 'acb'],
    ['are ordered by upper case before lower case', [added({ a: 'a0', b: 'Zz', c: 'b00' })], 'bac'],
    ['of one key stand in the order of their ids', [added({ b: 'a0', a: 'a0' })], 'ab'],
    ['move', [three, moved({ a: 'a1V' })], 'bac'],
    ['move together', [three, moved({ a: 'a3', b: 'a4' })], 'cab'],
    ['get other keys where a new one needs room', [three, added({ d: 'a2' }, { c: 'a3' })], 'abdc'],
    ['get other keys where one that moves needs room', [three, moved({ c: 'a1' }, { b: 'a2' })], 'acb'],
    ['are removed', [three, removed('a', 'c')], 'b'],
    ['that are not there do not move', [three, moved({ d: 'a1' })], 'abc'],
    ['come back', [three, removed('a'), restored({ a: 'a1', b: 'a0', c: 'Zz' })], 'cba'],
    ['that are not listed go', [three, restored({ b: 'a0' })], 'b'],
    ['that went so come back, too', [three, restored({ b: 'a0' }), restored({ a: 'a0' })], 'a'],
    ['that never were do not come', [three, restored({ x: 'a0' })], ''],
  ])('%s', (_, events, ids) => {
    expect(shown(fold(...events))).toEqual(Array.from(ids).map((id) => `${id}=${songOf(id)}`));
  });

  it('are those of the restored version, for every version and every later change', () => {
    const action = fc.record({ kind: fc.constantFrom('add', 'move', 'remove'), at: fc.nat(), to: fc.nat() });
    fc.assert(
      fc.property(fc.array(action, { minLength: 1, maxLength: 40 }), fc.nat(), (actions, version) => {
        const lists = [noEntries];
        for (const each of actions) lists.push(evolveEntries(lists.at(-1)!, happen(lists.at(-1)!, each, lists.length)));
        const then = lists[version % lists.length]!;
        const keys = generateNKeysBetween(null, null, then.present.length);
        const places = Object.fromEntries(then.present.map(({ entryId }, index) => [entryId, keys[index]!]));
        expect(shown(evolveEntries(lists.at(-1)!, restored(places)))).toEqual(shown(then));
      }),
    );
  });
});

/** An event that can follow: a new entry, or one that moves, at a random place; or a removal. */
function happen({ present }: EntryList, { kind, at, to }: { kind: string; at: number; to: number }, version: number) {
  const subject = present[at % (present.length || 1)];
  if (kind === 'remove' && subject) return removed(subject.entryId);
  const others = present.filter((entry) => kind !== 'move' || entry !== subject);
  const place = to % (others.length + 1);
  const key = generateKeyBetween(others[place - 1]?.orderKey, others[place]?.orderKey);
  return kind === 'move' && subject ? moved({ [subject.entryId]: key }) : added({ [`e${version}`]: key });
}
