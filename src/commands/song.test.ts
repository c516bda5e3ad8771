import { describe, expect, it } from '@jest/globals';
import { given } from '../../test/support/decider.ts';
import type { SongEvent } from '../events/catalog.ts';
import { song, type SongCommand } from './song.ts';

const about = { title: 'Yellow', year: 2000, genre: 'Rock', performer: 'Coldplay' };
const details = { ...about, duration: 266, albumId: 'album-1' };
const other = { ...about, title: 'Trouble', duration: null, albumId: null };
const songId = 'song-1';
const created: SongEvent = { type: 'SongCreated', songId, ...details };
const changed: SongEvent = { type: 'SongChanged', songId, ...other };
const deleted: SongEvent = { type: 'SongDeleted', songId, title: 'Yellow', performer: 'Coldplay', year: 2000 };
const commands = {
  create: { type: 'CreateSong', details },
  change: { type: 'ChangeSong', details: other },
  delete: { type: 'DeleteSong' },
} as const satisfies Record<string, SongCommand>;
const NEW_ID_TAKEN = 'The id of the new song is taken.';

describe('a song', () => {
  it.each<[string, readonly SongEvent[], keyof typeof commands, SongEvent | string]>([
    ['is created with all its details', [], 'create', created],
    ['cannot be created twice', [created], 'create', NEW_ID_TAKEN],
    ['cannot be created again after it was deleted', [created, deleted], 'create', NEW_ID_TAKEN],
    ['is changed to the new details, all of them', [created], 'change', changed],
    ['can be changed again', [created, changed], 'change', changed],
    ['cannot be changed when it does not exist', [], 'change', 'SONG_NOT_FOUND'],
    ['cannot be changed after it was deleted', [created, deleted], 'change', 'SONG_NOT_FOUND'],
    ['is deleted', [created], 'delete', deleted],
    ['is deleted with its last title', [created, changed], 'delete', { ...deleted, title: 'Trouble' }],
    ['cannot be deleted when it does not exist', [], 'delete', 'SONG_NOT_FOUND'],
    ['stays deleted after any later event', [created, deleted, changed], 'delete', 'SONG_NOT_FOUND'],
    ['cannot be deleted twice', [created, deleted], 'delete', 'SONG_NOT_FOUND'],
  ])('%s', (_, events, command, outcome) => {
    expect(given(song, ...events).when(commands[command], { albumExists: true })).toEqual(outcome);
  });

  it.each<[keyof typeof commands, readonly SongEvent[], SongEvent | string]>([
    ['create', [], 'ALBUM_NOT_FOUND'],
    ['change', [created], 'ALBUM_NOT_FOUND'],
    ['change', [], 'SONG_NOT_FOUND'],
    ['delete', [created], deleted],
  ])('checks the album only where the command names one: %s', (command, events, outcome) => {
    expect(given(song, ...events).when(commands[command], { albumExists: false })).toEqual(outcome);
  });

  it('ignores events of other categories', () => {
    const { state } = given(song, created, { type: 'AlbumDeleted', albumId: 'album-1', name: 'n', year: 1 });
    expect(state).toEqual(given(song, created).state);
  });
});
