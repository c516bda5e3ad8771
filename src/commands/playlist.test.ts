import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { given } from '../../test/support/decider.ts';
import { createPlaylistFold } from '../events/past-playlist.ts';
import { type PlaylistEvent, UNDELETE_MS } from '../events/playlists.ts';
import { playlist, type PlaylistCommand, type PlaylistContext } from './playlist.ts';

const playlistId = 'playlist-1';
const visible = { description: null, visibility: 'private' };
const created: PlaylistEvent = { type: 'PlaylistCreated', playlistId, name: 'Morning', ownerId: 'owner', ...visible };
const renamed: PlaylistEvent = { type: 'PlaylistChanged', playlistId, name: 'Evening', ...visible, linkId: null };
const deleted: PlaylistEvent = { type: 'PlaylistDeleted', playlistId, name: 'Morning' };
const undeleted: PlaylistEvent = { type: 'PlaylistUndeleted', playlistId, name: 'Morning' };
const shared: PlaylistEvent = {
  type: 'CollaboratorAdded',
  playlistId,
  collaborationId: 'collab-1',
  accountId: 'friend',
};
const unshared: PlaylistEvent = { type: 'CollaboratorRemoved', playlistId, accountId: 'friend' };
const addition = (entryId: string, orderKey: string, songId = 'song-1'): PlaylistEvent => ({
  type: 'SongsAddedToPlaylist',
  playlistId,
  rekeyed: [],
  entries: [{ entryId, songId, title: 'Yellow', orderKey }],
});
const added = addition('entry-1', 'a0');
const again = addition('entry-2', 'a1');
const other = addition('entry-0', 'a0', 'song-2');
const song = { title: 'Yellow', performer: 'Coldplay', year: 2000 };
const removed: PlaylistEvent = {
  type: 'SongRemovedFromPlaylist',
  playlistId,
  songId: 'song-1',
  entryIds: ['entry-1'],
  ...song,
};
const restored: PlaylistEvent = {
  type: 'PlaylistRestored',
  playlistId,
  restoredVersion: 2,
  name: 'Noon',
  description: 'again',
  entries: [{ entryId: 'entry-1', orderKey: 'a5' }],
};
const details = { ...renamed, description: 'd', visibility: 'public', linkId: 'link-1' };

const here: PlaylistContext = { song, accountExists: true };
const missing: PlaylistContext = { accountExists: false };
const earlier = { name: 'Noon', description: 'again', entries: [{ entryId: 'entry-1', orderKey: 'a5' }] };
const deletedAt = Date.UTC(2026, 0, 1);

const commands = {
  create: (actor: string) => ({ type: 'CreatePlaylist', name: 'Morning', actor }),
  rename: (actor: string) => ({ type: 'RenamePlaylist', name: 'Evening', actor }),
  restore: (actor: string) => ({ type: 'RestorePlaylist', version: 2, actor }),
  undelete: (actor: string) => ({ type: 'UndeletePlaylist', now: deletedAt + 1, actor }),
  delete: (actor: string) => ({ type: 'DeletePlaylist', actor }),
  add: (actor: string) => ({ type: 'AddSong', songId: 'song-1', entryId: 'entry-1', duplicates: 'refuse', actor }),
  repeat: (actor: string) => ({ type: 'AddSong', songId: 'song-1', entryId: 'entry-2', duplicates: 'allow', actor }),
  remove: (actor: string) => ({ type: 'RemoveSong', songId: 'song-1', actor }),
  share: (actor: string) => ({ type: 'AddCollaborator', accountId: 'friend', collaborationId: 'collab-1', actor }),
  shareWithOwner: (actor: string) => ({
    type: 'AddCollaborator',
    accountId: 'owner',
    collaborationId: 'collab-2',
    actor,
  }),
  unshare: (actor: string) => ({ type: 'RemoveCollaborator', accountId: 'friend', actor }),
} as const satisfies Record<string, (actor: string) => PlaylistCommand>;
type Name = keyof typeof commands;
type Outcome = PlaylistEvent | string;

const when = (events: readonly PlaylistEvent[], name: Name, actor = 'owner', context = here) =>
  given(playlist, ...events).when(commands[name](actor), context);

describe('a playlist', () => {
  it.each<[string, readonly PlaylistEvent[], Name, Outcome]>([
    ['is created by its owner', [], 'create', created],
    ['cannot be created twice', [created], 'create', 'The id of the new playlist is taken.'],
    ['is renamed', [created], 'rename', renamed],
    ['keeps its other details when it is renamed', [created, details], 'rename', details],
    ['keeps a restored description', [created, restored], 'rename', { ...renamed, description: 'again' }],
    ['is deleted with its last name', [created, renamed], 'delete', { ...deleted, name: 'Evening' }],
    ['takes a song after it was undeleted', [created, deleted, undeleted], 'add', added],
    [
      'has the changes made while it was deleted',
      [created, deleted, renamed, undeleted],
      'delete',
      { ...deleted, name: 'Evening' },
    ],
    ['has its entries after it was undeleted', [created, added, deleted, undeleted], 'add', 'SONG_ALREADY_IN_PLAYLIST'],
    ['has the restored entries', [created, added, removed, restored], 'add', 'SONG_ALREADY_IN_PLAYLIST'],
    ['has only the restored entries', [created, added, again, restored], 'remove', removed],
    ['is deleted', [created, added, shared], 'delete', deleted],
    ['takes a song', [created], 'add', added],
    ['rejects a song that is already in it', [created, added], 'add', 'SONG_ALREADY_IN_PLAYLIST'],
    ['takes a song again after it was removed', [created, added, removed], 'add', added],
    ['takes a song at the end', [created, other], 'add', addition('entry-1', 'a1')],
    ['takes a song twice where duplicates are allowed', [created, added], 'repeat', again],
    ['removes a song', [created, added], 'remove', removed],
    [
      'removes all entries of a song',
      [created, added, again],
      'remove',
      { ...removed, entryIds: ['entry-1', 'entry-2'] },
    ],
    ['cannot remove a song twice', [created, added, removed], 'remove', 'SONG_NOT_IN_PLAYLIST'],
    ['cannot remove a song that is not in it', [created], 'remove', 'SONG_NOT_IN_PLAYLIST'],
    ['takes a collaborator', [created], 'share', shared],
    ['rejects a collaborator that it already has', [created, shared], 'share', 'ALREADY_COLLABORATOR'],
    ['takes a collaborator again after it was removed', [created, shared, unshared], 'share', shared],
    ['rejects its owner as a collaborator', [created], 'shareWithOwner', 'ALREADY_COLLABORATOR'],
    ['removes a collaborator', [created, shared], 'unshare', unshared],
    ['cannot remove an account that is not a collaborator', [created], 'unshare', 'COLLABORATION_NOT_FOUND'],
  ])('%s', (_, events, name, outcome) => {
    expect(when(events, name)).toEqual(outcome);
  });

  const all = Object.keys(commands).filter((name) => name !== 'create' && name !== 'undelete') as Name[];
  it.each(all)('is not found before it exists and after it was deleted: %s', (name) => {
    expect(when([], name)).toBe('PLAYLIST_NOT_FOUND');
    expect(when([created, added, shared, deleted], name)).toBe('PLAYLIST_NOT_FOUND');
  });

  it.each<[Name, Outcome, Outcome]>([
    ['rename', 'FORBIDDEN', 'FORBIDDEN'],
    ['delete', 'FORBIDDEN', 'FORBIDDEN'],
    ['repeat', 'FORBIDDEN', again],
    ['remove', 'FORBIDDEN', removed],
    ['share', 'FORBIDDEN', 'FORBIDDEN'],
    ['unshare', 'FORBIDDEN', 'FORBIDDEN'],
    ['restore', 'FORBIDDEN', 'FORBIDDEN'],
    ['undelete', 'FORBIDDEN', 'FORBIDDEN'],
  ])('lets its owner change everything, and its collaborators only the songs: %s', (name, stranger, collaborator) => {
    const events = [created, added, shared];
    expect(when(events, name, 'stranger')).toEqual(stranger);
    expect(when(events, name, 'friend')).toEqual(collaborator);
    expect(when([...events, unshared], name, 'friend')).toBe(name === 'unshare' ? 'FORBIDDEN' : stranger);
  });

  it.each<[Name, Outcome]>([
    ['add', 'SONG_NOT_FOUND'],
    ['remove', 'SONG_NOT_FOUND'],
    ['share', 'USER_NOT_FOUND'],
    ['unshare', 'USER_NOT_FOUND'],
  ])('checks what is missing before what is forbidden: %s', (name, outcome) => {
    expect(when([created], name, 'stranger', missing)).toBe(outcome);
  });

  it('removes a collaborator whose account was deleted', () => {
    expect(when([created, shared], 'unshare', 'owner', missing)).toEqual(unshared);
  });

  it('gets the name and the entries of an earlier version', () => {
    expect(when([created, added, removed], 'restore', 'owner', { earlier })).toEqual(restored);
  });

  it('is restored by one more event when nothing differs', () => {
    expect(when([created, added, restored], 'restore', 'owner', { earlier })).toEqual(restored);
  });

  it('cannot be restored to a version that does not exist, which only its owner is told', () => {
    expect(when([created], 'restore', 'owner', {})).toBe('VERSION_NOT_FOUND');
    expect(when([created], 'restore', 'stranger', {})).toBe('FORBIDDEN');
  });

  it('cannot be restored to more entries than its event can list', () => {
    const entries = (count: number) => Array.from({ length: count }, (_, n) => ({ entryId: `e${n}`, orderKey: 'a0' }));
    const restore = (count: number) =>
      when([created], 'restore', 'owner', { earlier: { ...earlier, entries: entries(count) } });
    expect(restore(10_000)).toMatchObject({ type: 'PlaylistRestored' });
    expect(restore(10_001)).toBe('EVENT_TOO_LARGE');
  });

  it('is brought back by its owner for 30 days, and is not found for others and later', () => {
    const at = (now: number, actor: string) =>
      given(playlist, created, deleted).when({ type: 'UndeletePlaylist', now, actor }, { deletedAt });
    expect(at(deletedAt + UNDELETE_MS - 1, 'owner')).toEqual(undeleted);
    expect(at(deletedAt + UNDELETE_MS, 'owner')).toBe('PLAYLIST_NOT_FOUND');
    expect(at(deletedAt + 1, 'friend')).toBe('PLAYLIST_NOT_FOUND');
    expect(when([], 'undelete')).toBe('PLAYLIST_NOT_FOUND');
  });

  it('is brought back once', () => {
    expect(when([created, deleted, undeleted], 'undelete', 'owner', { deletedAt })).toBe('PLAYLIST_NOT_DELETED');
  });

  it('ignores events of other categories', () => {
    const { state } = given(playlist, created, added);
    expect(given(playlist, created, added, { type: 'SongDeleted', songId: 'song-1', ...song }).state).toEqual(state);
  });
});

it('gives 10,000 songs added one by one keys in their order, of at most four letters', () => {
  let { state } = given(playlist, created);
  const keys = Array.from({ length: 10_000 }, (_, index) => {
    const command = { ...commands.repeat('owner'), entryId: `entry-${index}` };
    const event = playlist.decide(playlistId, command, state, here);
    state = playlist.evolve(state, event);
    return event.type === 'SongsAddedToPlaylist' ? event.entries[0]!.orderKey : '';
  });
  expect(keys).toEqual([...new Set(keys)].sort());
  expect(Math.max(...keys.map((key) => key.length))).toBeLessThanOrEqual(4);
});

describe('a restored playlist', () => {
  const action = fc.record({
    kind: fc.constantFrom('add', 'remove', 'rename', 'share', 'restore'),
    which: fc.nat(9),
  });

  it('has the name, description and entries of any earlier version, and the collaborators of now', () => {
    fc.assert(
      fc.property(fc.array(action, { maxLength: 40 }), fc.nat(), (actions, which) => {
        const events: PlaylistEvent[] = [created];
        for (const each of actions) events.push(...happen(events, each));
        const version = 1 + (which % events.length);
        const after = given(playlist, ...events, restoreTo(events, version)).state;
        const [then, now] = [given(playlist, ...events.slice(0, version)).state, given(playlist, ...events).state];
        if (after.status !== 'present' || then.status !== 'present' || now.status !== 'present')
          throw new Error('gone');
        expect(after.details).toEqual({
          ...now.details,
          name: then.details.name,
          description: then.details.description,
        });
        expect(after.entries.present).toEqual(then.entries.present);
        expect(after.collaborators).toEqual(now.collaborators);
      }),
    );
  });

  const stateAt = (events: readonly PlaylistEvent[], version: number) => {
    const fold = createPlaylistFold();
    for (const event of events.slice(0, version)) fold.add(event);
    return fold.result();
  };

  function restoreTo(events: readonly PlaylistEvent[], version: number): PlaylistEvent {
    const context = { earlier: stateAt(events, version) };
    const decided = given(playlist, ...events).when({ type: 'RestorePlaylist', version, actor: 'owner' }, context);
    if (typeof decided === 'string') throw new Error(decided);
    return decided as PlaylistEvent;
  }

  /** The event of the action; none when the action is refused. */
  function happen(events: readonly PlaylistEvent[], { kind, which }: { kind: string; which: number }): PlaylistEvent[] {
    if (kind === 'restore') return [restoreTo(events, 1 + (which % events.length))];
    const songId = `song-${which}`;
    const actor = 'owner';
    const wanted: PlaylistCommand =
      kind === 'add'
        ? { type: 'AddSong', songId, entryId: `entry-${events.length}`, duplicates: 'allow', actor }
        : kind === 'remove'
          ? { type: 'RemoveSong', songId, actor }
          : kind === 'rename'
            ? { type: 'RenamePlaylist', name: `name ${which}`, actor }
            : { type: 'AddCollaborator', accountId: `user-${which}`, collaborationId: `collab-${which}`, actor };
    const decided = given(playlist, ...events).when(wanted, here);
    return typeof decided === 'string' ? [] : [decided as PlaylistEvent];
  }
});
