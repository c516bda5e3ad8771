import { describe, expect, it } from '@jest/globals';
import { given } from '../../test/support/decider.ts';
import type { AlbumEvent } from '../events/catalog.ts';
import { album, type AlbumCommand } from './album.ts';

const details = { name: 'Viva la Vida', year: 2008 };
const other = { name: 'Parachutes', year: 2000 };
const albumId = 'album-1';
const created: AlbumEvent = { type: 'AlbumCreated', albumId, ...details };
const changed: AlbumEvent = { type: 'AlbumChanged', albumId, ...other };
const deleted: AlbumEvent = { type: 'AlbumDeleted', albumId, ...details };
const commands = {
  create: { type: 'CreateAlbum', details },
  change: { type: 'ChangeAlbum', details: other },
  delete: { type: 'DeleteAlbum' },
} as const satisfies Record<string, AlbumCommand>;

describe('an album', () => {
  it.each<[string, readonly AlbumEvent[], keyof typeof commands, AlbumEvent | string]>([
    ['is created with its details', [], 'create', created],
    ['cannot be created twice', [created], 'create', 'The id of the new album is taken.'],
    ['cannot be created again after it was deleted', [created, deleted], 'create', 'The id of the new album is taken.'],
    ['is changed to the new details', [created], 'change', changed],
    ['can be changed again, also to the same details', [created, changed], 'change', changed],
    ['cannot be changed when it does not exist', [], 'change', 'ALBUM_NOT_FOUND'],
    ['cannot be changed after it was deleted', [created, deleted], 'change', 'ALBUM_NOT_FOUND'],
    ['is deleted', [created], 'delete', deleted],
    ['is deleted with its last name and year', [created, changed], 'delete', { ...deleted, ...other }],
    ['cannot be deleted when it does not exist', [], 'delete', 'ALBUM_NOT_FOUND'],
    ['stays deleted after any later event', [created, deleted, changed], 'delete', 'ALBUM_NOT_FOUND'],
    ['cannot be deleted twice', [created, changed, deleted], 'delete', 'ALBUM_NOT_FOUND'],
  ])('%s', (_, events, command, outcome) => {
    expect(given(album, ...events).when(commands[command])).toEqual(outcome);
  });

  it('ignores events of other categories', () => {
    const { state } = given(album, created, {
      type: 'SongDeleted',
      songId: 'song-1',
      title: 't',
      performer: 'p',
      year: 1,
    });
    expect(state).toEqual(given(album, created).state);
  });
});
