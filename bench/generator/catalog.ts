import { album } from '../../src/commands/album.ts';
import { song } from '../../src/commands/song.ts';
import type { AlbumDetails, SongDetails } from '../../src/events/catalog.ts';
import type { Append } from '../../src/log/event-log.ts';
import type { Author } from './author.ts';
import { createCategory } from './category.ts';
import { createWords } from './words.ts';

/** Something that happens, and how often of all that does. */
export interface Move {
  readonly weight: number;
  /** Whether it can happen now. */
  readonly possible: () => boolean;
  readonly happen: () => Append;
}

/** What happens in a catalog: it grows, with some ten songs to an album, and a fifth of what happens is a change. */
export function catalogMoves(author: Author): Move[] {
  const { chance } = author;
  const words = createWords(chance);
  const albums = createCategory(album, author);
  const songs = createCategory(song, author);
  const known = { albumExists: true };

  const year = () => 1950 + chance.below(76);
  const albumDetails = (): AlbumDetails => ({ name: words.title(), year: year() });
  const songDetails = (): SongDetails => ({
    ...{ title: words.title(), year: year(), genre: words.genre(), performer: words.performer() },
    duration: chance.below(10) === 0 ? null : 60 + chance.below(400),
    albumId: chance.below(20) === 0 ? null : (albums.any() ?? null),
  });

  const anAlbum = () => albums.size() > 0;
  const aSong = () => songs.size() > 0;
  const always = () => true;
  return [
    { weight: 70, possible: always, happen: () => songs.create({ type: 'CreateSong', details: songDetails() }, known) },
    { weight: 14, possible: aSong, happen: () => songs.change({ type: 'ChangeSong', details: songDetails() }, known) },
    { weight: 2, possible: aSong, happen: () => songs.end({ type: 'DeleteSong' }, known) },
    {
      weight: 8,
      possible: always,
      happen: () => albums.create({ type: 'CreateAlbum', details: albumDetails() }, undefined),
    },
    {
      weight: 5,
      possible: anAlbum,
      happen: () => albums.change({ type: 'ChangeAlbum', details: albumDetails() }, undefined),
    },
    { weight: 1, possible: anAlbum, happen: () => albums.end({ type: 'DeleteAlbum' }, undefined) },
  ];
}
