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
    ['that is there cannot be created again', [created], 'create', NEW_ID_TAKEN],
    ['that was deleted cannot be created again', [created, deleted], 'create', NEW_ID_TAKEN],
    ['is changed to the new details, all of them', [created], 'change', changed],
    ['that was changed is changed again', [created, changed], 'change', changed],
    ['that never was cannot be changed', [], 'change', 'SONG_NOT_FOUND'],
    ['that was deleted cannot be changed', [created, deleted], 'change', 'SONG_NOT_FOUND'],
    ['is deleted', [created], 'delete', deleted],
    ['that was changed is deleted, by its last title', [created, changed], 'delete', { ...deleted, title: 'Trouble' }],
    ['that never was cannot be deleted', [], 'delete', 'SONG_NOT_FOUND'],
    ['stays deleted after any later event', [created, deleted, changed], 'delete', 'SONG_NOT_FOUND'],
    ['that was deleted cannot be deleted again', [created, deleted], 'delete', 'SONG_NOT_FOUND'],
  ])('%s', (_, events, command, outcome) => {
    expect(given(song, ...events).when(commands[command], { albumExists: true })).toEqual(outcome);
  });

  it.each<[keyof typeof commands, readonly SongEvent[], SongEvent | string]>([
    ['create', [], 'ALBUM_NOT_FOUND'],
    ['change', [created], 'ALBUM_NOT_FOUND'],
    ['change', [], 'SONG_NOT_FOUND'],
    ['delete', [created], deleted],
  ])('with an album that is not there: %s', (command, events, outcome) => {
    expect(given(song, ...events).when(commands[command], { albumExists: false })).toEqual(outcome);
  });

  it('is not touched by what happens to anything else', () => {
    const { state } = given(song, created, { type: 'AlbumDeleted', albumId: 'album-1', name: 'n', year: 1 });
    expect(state).toEqual(given(song, created).state);
  });
});
