import type { QueryConfig } from 'pg';
import type { SongDetails } from '../events/catalog.ts';
import type { Database } from '../postgres/pool.ts';
import { together } from '../together.ts';
import type { Applied, Projection, Rows } from './projection.ts';

export interface SongSummary {
  readonly id: string;
  readonly title: string;
  readonly performer: string;
}

export interface SongView {
  /** Version of the song's stream. */
  readonly version: number;
  /** `albumId` is null as soon as the album is gone. */
  readonly song: { readonly id: string } & SongDetails;
}

export interface SongFilter {
  /** Case-insensitive substrings, combined with AND; an empty one matches all. */
  readonly title?: string;
  readonly performer?: string;
  readonly limit?: number;
  /** Only songs whose id is greater. */
  readonly after?: string;
}

function apply({ stream, version, event }: Applied, rows: Rows): void {
  switch (event.type) {
    case 'SongCreated':
      rows.put({ id: stream, version, ...columnsOf(event) });
      break;
    case 'SongChanged':
      rows.patch(stream, { version, ...columnsOf(event) });
      break;
    case 'SongDeleted':
      rows.remove(stream);
      break;
    default:
  }
}

function columnsOf({ title, year, genre, performer, duration, albumId }: SongDetails) {
  return { title, year, genre, performer, duration, album_id: albumId };
}

export const songs: Projection = {
  table: {
    name: 'songs',
    columns: {
      id: 'text',
      version: 'integer',
      title: 'text',
      year: 'integer',
      genre: 'text',
      performer: 'text',
      duration: 'integer',
      album_id: 'text',
    },
  },
  // The album is no foreign key: it lives in another partition, and whether it still exists is asked at read time.
  ddl: `CREATE TABLE songs (
    id text COLLATE "C" PRIMARY KEY,
    version integer NOT NULL,
    title text NOT NULL,
    year integer NOT NULL,
    genre text NOT NULL,
    performer text NOT NULL,
    duration integer,
    album_id text COLLATE "C"
  );
  CREATE INDEX ON songs (album_id);
  CREATE INDEX ON songs USING gin (title gin_trgm_ops, performer gin_trgm_ops)`,
  apply,
};

export async function findSong(database: Database, id: string): Promise<SongView | undefined> {
  const [row] = await database.query<{ version: number } & SongDetails>({
    name: 'find-song',
    text: `SELECT s.version, s.title, s.year, s.genre, s.performer, s.duration, a.id AS "albumId"
      FROM songs s LEFT JOIN albums a ON a.id = s.album_id WHERE s.id = $1`,
    values: [id],
  });
  if (!row) return undefined;
  const { version, ...details } = row;
  return { version, song: { id, ...details } };
}

/**
 * Finds what events of playlists say of songs, by id; undefined when there is no such song. All that are asked for in one
 * turn of the event loop share a query, which begins after the last of them was asked for.
 */
export function songMentions(database: Database): (id: string) => Promise<SongMention | undefined> {
  const mentionsOf = async (ids: readonly string[]) => {
    const rows = await database.query<SongMention & { id: string }>({
      name: 'mentions-of-songs',
      text: 'SELECT id, title, performer, year FROM songs WHERE id = ANY($1::text[])',
      values: [ids],
    });
    const songs = new Map(rows.map(({ id, ...song }) => [id, song]));
    return ids.map((id) => songs.get(id));
  };
  return together(mentionsOf, 500);
}

export type SongMention = Pick<SongDetails, 'title' | 'performer' | 'year'>;

const CHUNK = 500;

/** Songs by id, of one snapshot, in chunks. */
export const searchSongs = (database: Database, filter: SongFilter): AsyncGenerator<SongSummary[], void> =>
  database.chunks<SongSummary & Record<string, string>>(searchFor(filter), CHUNK);

/** The statement of a search. */
export function searchFor(filter: SongFilter): QueryConfig {
  const values: (string | number)[] = [];
  const given = (value: string | number) => `$${values.push(value)}`;
  const contains = (column: string, text: string) => {
    const slices = slicesOf(text).map((slice) => `${column} ILIKE ${given(containing(slice))}`);
    // As an expression it is not looked up in the index.
    const whole = slices.length > 0 ? `(${column} || '')` : column;
    return [...slices, `${whole} ILIKE ${given(containing(text))}`].join(' AND ');
  };
  const conditions = [
    filter.title && contains('title', filter.title),
    filter.performer && contains('performer', filter.performer),
    filter.after && `id > ${given(filter.after)}`,
  ].filter(Boolean);
  const where = conditions.length > 0 ? `WHERE ${conditions.join(' AND ')}` : '';
  const limit = filter.limit === undefined ? '' : `LIMIT ${given(filter.limit)}`;
  return { text: `SELECT id, title, performer FROM songs ${where} ORDER BY id ${limit}`, values };
}

const SLICES = 3;
const SLICE_LENGTH = 5;

/**
 * Parts of a long text, evenly from all of it, to be looked up in the index instead of the whole: there every three
 * letters cost a list as long as they are common, and a few of them leave few songs to compare. None of a short text, nor of
 * one with a letter that lower case writes by its place in the word.
 */
function slicesOf(text: string): string[] {
  const letters = Array.from(text);
  if (letters.length <= SLICES * SLICE_LENGTH || letters.includes('Σ')) return [];
  const step = (letters.length - SLICE_LENGTH) / (SLICES - 1);
  return Array.from({ length: SLICES }, (_, n) =>
    letters
      .slice(Math.round(n * step))
      .slice(0, SLICE_LENGTH)
      .join(''),
  );
}

/** A LIKE pattern that matches the text literally anywhere. */
const containing = (text: string): string => `%${text.replace(/[\\%_]/g, '\\$&')}%`;
