import { describe, expect, it } from '@jest/globals';
import { given } from '../../test/support/decider.ts';
import type { PlaylistEvent } from '../events/playlists.ts';
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

const commands = {
  create: (actor: string) => ({ type: 'CreatePlaylist', name: 'Morning', actor }),
  rename: (actor: string) => ({ type: 'RenamePlaylist', name: 'Evening', actor }),
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

  const all = Object.keys(commands).filter((name) => name !== 'create') as Name[];
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
