import type { QueryConfig } from 'pg';
import type { SongDetails, SongEvent } from '../events/catalog.ts';
import type { ListReader } from '../postgres/list-reader.ts';
import type { Database } from '../postgres/pool.ts';
import { fold } from '../text.ts';
import { batch } from '../concurrency/batch.ts';
import { byFoundKeys, type List, MAX_KEYS } from './engine/lists.ts';
import { column, nullable, type RowOf, table } from './engine/table.ts';

export interface SongSummary {
  readonly id: string;
  readonly title: string;
  readonly performer: string;
}

export interface SongView {
  /** Version of the song's stream. */
  readonly version: number;
  /** `albumId` is null once the album is deleted. */
  readonly song: { readonly id: string } & SongDetails;
}

export interface SongFilter {
  /** Substrings, compared after `fold`, combined with AND; an empty one matches all. */
  readonly title?: string;
  readonly performer?: string;
  /** Only songs whose id is greater. */
  readonly after?: string;
}

export const songTable = table(
  'songs',
  {
    id: column.key,
    version: column.streamVersion,
    title: column.text,
    year: column.integer,
    genre: column.text,
    performer: column.text,
    duration: nullable(column.integer),
    /** No foreign key: the album lives in another partition. Queries join it, and so find whether it still exists. */
    album_id: nullable(column.id),
    folded_title: column.text,
    folded_performer: column.text,
  },
  {
    indexes: [
      '(album_id)',
      // Every search reads what waits to be sorted into the index: at the default of 4 MB that takes up to 7 ms, here 0.2 ms.
      'USING gin (folded_title gin_trgm_ops, folded_performer gin_trgm_ops) WITH (gin_pending_list_limit = 64)',
    ],
  },
);

export const songs = songTable.projection<SongEvent>({
  SongCreated: (event, rows, { stream }) => rows.put({ id: stream, ...columnsOf(event) }),
  SongChanged: (event, rows, { stream }) => rows.patch(stream, columnsOf(event)),
  SongDeleted: (_, rows, { stream }) => rows.remove(stream),
});

function columnsOf({ title, year, genre, performer, duration, albumId }: SongDetails) {
  return {
    title,
    year,
    genre,
    performer,
    duration,
    album_id: albumId,
    folded_title: fold(title),
    folded_performer: fold(performer),
  };
}

/** With the album's id only while the album exists. */
type DetailsRow = RowOf<typeof songTable, 'version' | 'title' | 'year' | 'genre' | 'performer' | 'duration'> &
  Pick<SongDetails, 'albumId'>;

export async function findSong(database: Database, id: string): Promise<SongView | undefined> {
  const [row] = await database.query<DetailsRow>({
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
 * Finds by id what events of playlists record of a song; undefined when there is no such song. All calls in one turn of the
 * event loop share a query, which begins after the last of them.
 */
export function songMentions(database: Database): (id: string) => Promise<SongMention | undefined> {
  const mentionsOf = async (ids: readonly string[]) => {
    const rows = await database.query<RowOf<typeof songTable, 'id' | 'title' | 'performer' | 'year'>>({
      name: 'mentions-of-songs',
      text: 'SELECT id, title, performer, year FROM songs WHERE id = ANY($1::text[])',
      values: [ids],
    });
    const songs = new Map(rows.map(({ id, ...song }) => [id, song]));
    return ids.map((id) => songs.get(id));
  };
  return batch(mentionsOf, 500);
}

export type SongMention = Pick<SongDetails, 'title' | 'performer' | 'year'>;

/**
 * Matching songs by id. A song that exists during the whole read is listed once. A few songs that the index finds are read in
 * one query; of more songs the ids are read first. A search that matches more than MAX_KEYS songs, or that no index can answer,
 * reads the catalog from one end to the other, some songs at a time.
 */
export function searchSongs(lists: ListReader, asked: SongFilter): List<SongSummary> {
  const filter = foldedFilter(asked);
  let list: List<SongSummary> | undefined;
  return {
    async next(most) {
      if (list) return list.next(most);
      if (!isIndexed(filter)) return (list = walk(lists, filter)).next(most);
      const rows = await lists.first<FoundSong>(foundAtOnce(filter, most));
      const isAll = rows.length < most;
      const { count } = rows[0] ?? { count: 0 };
      if (count > MAX_KEYS) return (list = walk(lists, filter)).next(most);
      const rest = { ...filter, after: rows.at(-1)?.id ?? filter.after };
      list = isAll ? { next: () => Promise.resolve(undefined) } : foundSongs(lists, rest);
      return rows.map(({ id, title, performer }) => ({ id, title, performer }));
    },
  };
}

interface FoundSong extends SongSummary {
  /** How many songs were found; counted no further than MAX_KEYS + 1. */
  readonly count: number;
}

type Read = Database['query'];

/** The filter of a search with folded texts. The functions below take no other. */
const foldedFilter = ({ title = '', performer = '', after }: SongFilter): SongFilter => ({
  title: fold(title),
  performer: fold(performer),
  after,
});

/** The first statement of a search by index. */
export const searchFor = (filter: SongFilter, most: number): QueryConfig => foundAtOnce(foldedFilter(filter), most);

/**
 * MATERIALIZED plans the parts separately. Otherwise the limit would make the planner read songs by id until enough of them
 * match.
 */
function foundAtOnce(filter: SongFilter, most: number): QueryConfig {
  const { values, given } = createValues();
  const text = `WITH found AS MATERIALIZED (
      SELECT id, title, performer FROM songs WHERE ${conditionsOf(filter, given, 'indexed')} LIMIT ${MAX_KEYS + 1})
    SELECT id, title, performer, count(*) OVER () FROM found ORDER BY id LIMIT ${given(most)}`;
  return { name: `search-songs ${shapeOf(filter)}`, text, values };
}

/** Songs whose ids the index finds in one query. */
function foundSongs({ query }: ListReader, filter: SongFilter): List<SongSummary> {
  const keysAfter = async (last = filter.after) => {
    const { values, given } = createValues();
    const where = conditionsOf({ ...filter, after: last }, given, 'indexed');
    const text = `WITH found AS MATERIALIZED (SELECT id FROM songs WHERE ${where})
      SELECT id FROM found ORDER BY id LIMIT ${MAX_KEYS}`;
    const rows = await query<RowOf<typeof songTable, 'id'>>({ name: `ids-of-songs ${shapeOf(filter)}`, text, values });
    return rows.map(({ id }) => id);
  };
  return byFoundKeys(keysAfter, (ids) => songsById(query, ids, { ...filter, after: undefined }));
}

/** Of these songs, those that exist and match, by id. */
export function songsById(
  read: Read,
  ids: readonly string[],
  { album, ...filter }: SongFilter & { album?: string } = {},
) {
  const { values, given } = createValues();
  const conditions = [
    `id = ANY(${given(ids)}::text[])`,
    conditionsOf({ ...filter, after: undefined }, given, 'compared'),
  ];
  if (album !== undefined) conditions.push(`(album_id || '') = ${given(album)}`);
  return read<RowOf<typeof songTable, 'id' | 'title' | 'performer'>>({
    name: `songs-by-id ${shapeOf(filter)} ${album === undefined ? '' : 'album'}`,
    text: `SELECT id, title, performer FROM songs WHERE ${conditions.join(' AND ')} ORDER BY id`,
    values,
  });
}

/** How many songs one step of a walk compares. This bounds the time of a step when few of them match. */
const STEP = 5_000;

/** The last row of a step has no song; it says where the step ended. */
interface Step {
  readonly id: string | null;
  readonly title: string | null;
  readonly performer: string;
  readonly count: number;
}

/** Reads all songs from one end to the other and lists those that match. */
function walk({ first, query }: ListReader, filter: SongFilter): List<SongSummary> {
  let [read, after, isOver] = [first, filter.after ?? '', false];
  return {
    async next(most) {
      if (isOver) return undefined;
      const rows = await read<Step>(stepFor({ ...filter, after }, most));
      read = query;
      const end = rows.pop();
      const songs = rows.flatMap(({ id, title, performer }) =>
        id === null || title === null ? [] : [{ id, title, performer }],
      );
      const isFull = songs.length === most;
      isOver = !isFull && (end?.count ?? 0) < stepOf(filter, most);
      after = (isFull ? songs.at(-1)?.id : end?.id) ?? after;
      return songs;
    },
  };
}

const stepOf = ({ title, performer }: SongFilter, most: number) => (title || performer ? STEP : most);

function stepFor({ after = '', ...filter }: SongFilter, most: number): QueryConfig {
  const { values, given } = createValues();
  const [from, step, limit] = [given(after), given(stepOf(filter, most)), given(most)];
  const some = (columns: string) =>
    `(SELECT ${columns} FROM songs WHERE id > ${from} ORDER BY id LIMIT ${step}) AS part`;
  const matching = `SELECT id, title, performer, 0 AS count FROM ${some('*')}
    WHERE ${conditionsOf(filter, given, 'compared')} ORDER BY id LIMIT ${limit}`;
  return {
    name: `walk-songs ${shapeOf(filter)}`,
    text: `SELECT * FROM ((${matching}) UNION ALL SELECT max(id), NULL, NULL, count(*) FROM ${some('id')}) step
      ORDER BY title IS NULL, id`,
    values,
  };
}

function createValues() {
  const values: unknown[] = [];
  return { values, given: (value: unknown) => `$${values.push(value)}` };
}

type Given = (value: unknown) => string;

/** SQL of the conditions. A column in an expression is not looked up in the index. */
function conditionsOf({ title, performer, after }: SongFilter, given: Given, how: 'indexed' | 'compared'): string {
  const contains = (column: string, text: string | undefined) => {
    if (!text) return [];
    const slices = how === 'indexed' && hasTrigrams(text) ? slicesOf(text) : undefined;
    const looked = slices?.map((slice) => `${column} LIKE ${given(containing(slice))}`) ?? [];
    const whole = slices?.length === 0 ? column : `(${column} || '')`;
    return [...looked, `${whole} LIKE ${given(containing(text))}`];
  };
  const conditions = [...contains('folded_title', title), ...contains('folded_performer', performer)];
  if (after !== undefined) conditions.push(`${how === 'indexed' ? "(id || '')" : 'id'} > ${given(after)}`);
  return conditions.length > 0 ? conditions.join(' AND ') : 'true';
}

/** Names the text of a statement. The text of its conditions depends on nothing else. */
const shapeOf = ({ title, performer, after }: SongFilter): string =>
  [title, performer]
    .map((text = '') => (text === '' ? '-' : `${Number(hasTrigrams(text))}${slicesOf(text).length}`))
    .join(' ') + (after === undefined ? '' : ' after');

const isIndexed = ({ title = '', performer = '' }: SongFilter) => hasTrigrams(title) || hasTrigrams(performer);

/**
 * Whether a pattern has three letters in a row that the index can find; a space beside a word counts as one. Without them a
 * search reads all entries of the index.
 */
const hasTrigrams = (text: string): boolean =>
  /[\p{L}\p{N}]{3}|[\p{L}\p{N}]{2}[^\p{L}\p{N}]|[^\p{L}\p{N}][\p{L}\p{N}]/u.test(text);

const SLICES = 3;
const SLICE_LENGTH = 5;

/**
 * Evenly spaced parts of a long text. The index looks up these instead of the whole text, because every three letters cost
 * reading a list that is long when they are common, and a few parts already leave few songs to compare. A short text has none.
 */
function slicesOf(text: string): string[] {
  const letters = Array.from(text);
  if (letters.length <= SLICES * SLICE_LENGTH) return [];
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
