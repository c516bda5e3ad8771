import { expect, it } from '@jest/globals';
import fc from 'fast-check';
import { generateKeyBetween } from 'fractional-indexing';
import { evolveEntries, noEntries } from './entry-list.ts';
import { createPlaylistFold } from './past-playlist.ts';
import type { PlaylistEvent } from './playlists.ts';

const playlistId = 'playlist-1';
const created: PlaylistEvent = {
  type: 'PlaylistCreated',
  playlistId,
  name: 'Morning',
  ownerId: 'owner',
  description: null,
  visibility: 'private',
};
const deleted: PlaylistEvent = { type: 'PlaylistDeleted', playlistId, name: 'Morning' };
const undeleted: PlaylistEvent = { type: 'PlaylistUndeleted', playlistId, name: 'Morning' };
const shared: PlaylistEvent = { type: 'CollaboratorAdded', playlistId, collaborationId: 'c', accountId: 'friend' };
const unshared: PlaylistEvent = { type: 'CollaboratorRemoved', playlistId, accountId: 'friend' };

function resultOf(...events: readonly PlaylistEvent[]) {
  const fold = createPlaylistFold();
  for (const event of events) fold.add(event);
  return fold.result();
}

/** Events of entries, in which each may follow those before. */
const histories = fc
  .array(fc.record({ kind: fc.constantFrom('add', 'move', 'remove', 'restore'), at: fc.nat(), to: fc.nat() }), {
    maxLength: 40,
  })
  .map((actions) => {
    const [events, lists] = [[] as PlaylistEvent[], [noEntries]];
    for (const action of actions) {
      const event = happen(lists, action, events.length);
      events.push(event);
      lists.push(evolveEntries(lists.at(-1) ?? noEntries, event));
    }
    return { events, list: lists.at(-1) ?? noEntries };
  });

function happen(
  lists: readonly (typeof noEntries)[],
  { kind, at, to }: { kind: string; at: number; to: number },
  version: number,
): PlaylistEvent {
  const { present } = lists.at(-1)!;
  const subject = present[at % (present.length || 1)];
  if (kind === 'restore') {
    const entries = lists[at % lists.length]!.present.map(({ entryId, orderKey }) => ({ entryId, orderKey }));
    return { type: 'PlaylistRestored', playlistId, restoredVersion: 1, name: `n${at}`, description: 'd', entries };
  }
  if (kind === 'remove' && subject) {
    const song = { songId: subject.songId, title: 't', performer: 'p', year: 1 };
    return { type: 'SongRemovedFromPlaylist', playlistId, entryIds: [subject.entryId], ...song };
  }
  const others = present.filter((entry) => kind !== 'move' || entry !== subject);
  const place = to % (others.length + 1);
  const orderKey = generateKeyBetween(others[place - 1]?.orderKey, others[place]?.orderKey);
  if (kind === 'move' && subject) {
    return { type: 'SongsMovedInPlaylist', playlistId, entries: [{ ...subject, orderKey }], rekeyed: [] };
  }
  const entry = { entryId: `e${version}`, songId: `song-${version}`, title: 't', orderKey };
  return { type: 'SongsAddedToPlaylist', playlistId, entries: [entry], rekeyed: [] };
}

it('has the entries that the list of the decider has', () => {
  fc.assert(
    fc.property(histories, ({ events, list }) => {
      expect(resultOf(created, ...events)?.entries).toEqual(list.present);
    }),
  );
});

it('needs only the last of the events that restored it', () => {
  fc.assert(
    fc.property(histories, ({ events, list }) => {
      const last = events.findLastIndex(({ type }) => type === 'PlaylistRestored');
      const fewer = events.filter(({ type }, index) => type !== 'PlaylistRestored' || index === last);
      expect(resultOf(created, ...fewer)).toEqual(resultOf(created, ...events));
      expect(resultOf(created, ...fewer)?.entries).toEqual(list.present);
    }),
  );
});

it('is none before it was created and while it is deleted', () => {
  expect(resultOf()).toBeUndefined();
  expect(resultOf(created, shared, deleted)).toBeUndefined();
  expect(resultOf(created, shared, deleted, undeleted)).toEqual(resultOf(created, shared));
});

it('has the collaborators of that version', () => {
  expect(resultOf(created, shared)?.collaborators).toEqual(['friend']);
  expect(resultOf(created, shared, unshared)?.collaborators).toEqual([]);
});
