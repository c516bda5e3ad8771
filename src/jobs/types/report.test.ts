import { Readable } from 'node:stream';
import { parse } from 'csv-parse/sync';
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { anyCharacter } from '../../../test/support/characters.ts';
import { REPORT_FORMATS } from './report-formats.ts';
import type { Catalog, PlaylistSong } from './report-snapshot.ts';

const CATALOG: Catalog = {
  takenAt: '2030-01-31T09:30:00.000Z',
  albums: 2,
  songs: 3,
  genres: [{ name: '=cmd|x', songs: 2 }, { name: 'Indie', songs: 1 }], // prettier-ignore
  years: [{ name: -5, songs: 3 }],
  performers: [{ name: 'Sigur Rós, "live"', songs: 3 }],
};

interface Given {
  readonly name: string;
  readonly collaborators: number;
  readonly songs: readonly { readonly title: string; readonly performer: string }[];
}

const rowsOf = ({ name, collaborators, songs }: Given, index: number): PlaylistSong[] => {
  const about = { playlistId: `playlist-${index}`, playlist: name, songs: songs.length, collaborators };
  if (songs.length === 0) return [{ ...about, position: null, songId: '', title: '', performer: '' }];
  return songs.map((song, n) => ({ ...about, position: n + 1, songId: `song-${n}`, ...song }));
};

/** The report on them, from rows in chunks of that size. */
async function written(format: 'json' | 'csv', given: readonly Given[], chunk = 2): Promise<string> {
  const rows = given.flatMap(rowsOf);
  const count = Math.ceil(rows.length / chunk);
  const chunks = Array.from({ length: count }, (_, n) => rows.slice(n * chunk, (n + 1) * chunk));
  const pieces = REPORT_FORMATS[format].pieces({ catalog: CATALOG, playlists: Readable.from(chunks) });
  return (await Readable.from(pieces).toArray()).join('');
}

const text = fc.string({ unit: anyCharacter });
const playlists = fc.array(
  fc.record({
    name: text,
    collaborators: fc.nat(),
    songs: fc.array(fc.record({ title: text, performer: text }), { maxLength: 4 }),
  }),
  { maxLength: 4 },
);
const chunkSize = fc.integer({ min: 1, max: 5 });

const MORNING: Given = {
  name: '@Morning',
  collaborators: 2,
  songs: [
    { title: 'Yes', performer: 'Coldplay' },
    { title: '-1+1', performer: 'Sigur Rós' },
  ],
};
const EMPTY: Given = { name: 'Empty', collaborators: 0, songs: [] };

describe('a report as JSON', () => {
  it('contains everything, for any names and any chunks', async () => {
    await fc.assert(
      fc.asyncProperty(playlists, chunkSize, async (given, chunk) => {
        const expected = given.map(({ songs, ...about }, index) => ({
          id: `playlist-${index}`,
          ...about,
          songCount: songs.length,
          songs: songs.map((song, n) => ({ id: `song-${n}`, ...song })),
        }));
        const report: unknown = JSON.parse(await written('json', given, chunk));
        expect(report).toEqual({ report: { catalog: CATALOG, playlists: expected } });
      }),
    );
  });
});

describe('a report as CSV', () => {
  it('says in which bytes it is written, to browsers and to spreadsheets', async () => {
    expect(REPORT_FORMATS.csv.mediaType).toBe('text/csv; charset=utf-8');
    expect([...Buffer.from(await written('csv', []))].slice(0, 3)).toEqual([0xef, 0xbb, 0xbf]);
    expect(Buffer.from(await written('json', []))[0]).toBe('{'.charCodeAt(0));
  });

  it('has a line for each thing, with the same cells, and nothing that a spreadsheet calculates', async () => {
    expect(await written('csv', [MORNING, EMPTY])).toBe(
      [
        '\ufeffsection,playlist,position,id,name,performer,count,collaborators',
        'albums,,,,,,2,',
        'songs,,,,,,3,',
        "genre,,,,'=cmd|x,,2,",
        'genre,,,,Indie,,1,',
        'year,,,,-5,,3,',
        'performer,,,,"Sigur Rós, ""live""",,3,',
        "playlist,,,playlist-0,'@Morning,,2,2",
        'playlist-song,playlist-0,1,song-0,Yes,Coldplay,,',
        "playlist-song,playlist-0,2,song-1,'-1+1,Sigur Rós,,",
        'playlist,,,playlist-1,Empty,,0,0',
        '',
      ].join('\r\n'),
    );
  });

  it('can be read back, for any names and any chunks', async () => {
    await fc.assert(
      fc.asyncProperty(playlists, chunkSize, async (given, chunk) => {
        const lines: Record<string, string>[] = parse(await written('csv', given, chunk), { bom: true, columns: true });
        const named = lines.filter(({ section }) => section?.startsWith('playlist'));
        const wanted = given.flatMap(({ name, songs }) => [name, ...songs.map(({ title }) => title)]);
        expect(named.map(({ name }) => name?.replaceAll("'", ''))).toEqual(
          wanted.map((each) => each.replaceAll("'", '')),
        );
      }),
    );
  });
});
