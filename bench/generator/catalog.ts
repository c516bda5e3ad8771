import { album } from '../../src/commands/album.ts';
import { song } from '../../src/commands/song.ts';
import type { AlbumDetails, SongDetails } from '../../src/events/catalog.ts';
import type { Append } from '../../src/log/event-log.ts';
import type { Author } from './author.ts';
import { createCategory } from './category.ts';
import { createWords } from './words.ts';

/** A kind of change, and its share of all changes. */
export interface Move {
  readonly weight: number;
  /** Undefined when it cannot happen now. */
  readonly happen: () => Append | undefined;
}

/** The songs and albums that can be put into playlists and liked. */
export interface Catalog {
  readonly moves: readonly Move[];
  anyAlbum(): string | undefined;
  hasAlbum(id: string): boolean;
  anySong(): string | undefined;
  /** Undefined when the song was deleted. */
  songOf(id: string): SongDetails | undefined;
}

/** A growing catalog with about eight songs on an album. A fifth of its events change something that exists. */
export function createCatalog(author: Author): Catalog {
  const { chance } = author;
  const albums = createCategory(album, author);
  const songs = createCategory(song, author);
  const details = new Map<string, SongDetails>();
  const albumIds = new Set<string>();
  const context = { albumExists: true };

  const { albumDetails, songDetails } = createDetails(chance, () => albums.any());

  function createSong(): Append {
    const song = songDetails();
    const append = songs.create({ command: { type: 'CreateSong', details: song }, context });
    details.set(append.record.key, song);
    return append;
  }

  const changeSong = () =>
    songs.change(({ id }) => {
      const song = songDetails();
      details.set(id, song);
      return { command: { type: 'ChangeSong', details: song }, context };
    });

  const deleteSong = () =>
    songs.end(({ id }) => {
      details.delete(id);
      return { command: { type: 'DeleteSong' }, context };
    });

  function createAlbum(): Append {
    const append = albums.create({ command: { type: 'CreateAlbum', details: albumDetails() }, context: undefined });
    albumIds.add(append.record.key);
    return append;
  }

  const changeAlbum = () =>
    albums.change(() => ({ command: { type: 'ChangeAlbum', details: albumDetails() }, context: undefined }));
  const deleteAlbum = () =>
    albums.end(({ id }) => {
      albumIds.delete(id);
      return { command: { type: 'DeleteAlbum' }, context: undefined };
    });

  return {
    moves: [
      { weight: 50, happen: createSong },
      { weight: 10, happen: changeSong },
      { weight: 2, happen: deleteSong },
      { weight: 6, happen: createAlbum },
      { weight: 3, happen: changeAlbum },
      { weight: 1, happen: deleteAlbum },
    ],
    anyAlbum: albums.any,
    anySong: songs.any,
    hasAlbum: (id) => albumIds.has(id),
    songOf: (id) => details.get(id),
  };
}

/** Random details of albums and songs, most of which are on an existing album. */
function createDetails(chance: Author['chance'], anyAlbum: () => string | undefined) {
  const words = createWords(chance);
  const year = () => 1950 + chance.below(76);
  return {
    albumDetails: (): AlbumDetails => ({ name: words.title(), year: year() }),
    songDetails: (): SongDetails => ({
      title: words.title(),
      year: year(),
      genre: words.genre(),
      performer: words.performer(),
      duration: chance.below(10) === 0 ? null : 60 + chance.below(400),
      albumId: chance.below(20) === 0 ? null : (anyAlbum() ?? null),
    }),
  };
}
