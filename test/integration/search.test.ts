import { afterAll, beforeAll, expect, it } from '@jest/globals';
import fc from 'fast-check';
import pg from 'pg';
import { changesOf } from '../../src/projections/engine/postgres-store.ts';
import { searchSongs, type SongFilter, songs } from '../../src/projections/songs.ts';
import { createDatabase, type TestDatabase } from '../support/servers/index.ts';

let database: TestDatabase;
let client: pg.Client;

beforeAll(async () => {
  database = await createDatabase();
  client = new pg.Client(database.connection);
  await client.connect();
  await client.query(`CREATE EXTENSION IF NOT EXISTS pg_trgm WITH SCHEMA public; ${songs.ddl}`);
});
afterAll(async () => {
  await client.end();
  await database.drop();
});

const SONGS = 400;
/** A small alphabet, so that searches find something; among it what is special in patterns, words, cases and encodings. */
const LETTERS = [...Array.from('abcsäÄßẞſéÉиИΣσςİıǅﬁＡ生%_\\\'" -\u{1F3B5}'), 'e\u0301', 'A\u0308'];
const text = (minLength: number) =>
  fc.string({ unit: fc.constantFrom(...LETTERS), minLength, maxLength: 60, size: 'max' });
const flip = (part: string) => (part === part.toLowerCase() ? part.toUpperCase() : part.toLowerCase());

/** The result for letters that NFKC changes by more than their case. */
const SPECIAL = new Map([...Array.from('ßẞ', (letter) => [letter, 'ss'] as const), ['ς', 'σ'], ['İ', 'i\u0307']]);

/** The fold of a text, letter by letter. */
const slowFold = (whole: string) =>
  Array.from(whole.normalize('NFKC'), (letter) => SPECIAL.get(letter) ?? letter.toLowerCase())
    .join('')
    .normalize('NFKC');

const ABOUT = { year: 2000, genre: 'Pop', duration: null, albumId: null };
const reversed = (title: string) => Array.from(title).reverse().join('');
const BY = { time: '2026-01-01T00:00:00.000Z', actor: 'anonymous' };

const query = async <Row extends pg.QueryResultRow>(statement: pg.QueryConfig) =>
  (await client.query<Row>(statement)).rows;

/** The results of the API, a few at a time. */
async function idsOf(filter: SongFilter): Promise<string[]> {
  const list = searchSongs({ first: query, query }, filter);
  const ids: string[] = [];
  for (let songs = await list.next(7); songs; songs = await list.next(7)) ids.push(...songs.map(({ id }) => id));
  return ids;
}

async function fill(titles: readonly string[]): Promise<void> {
  await client.query('TRUNCATE songs');
  const events = titles.map((title, n) => {
    const event = { type: 'SongCreated', songId: `song-${n}`, title, performer: reversed(title), ...ABOUT } as const;
    return { stream: event.songId, version: 1, ...BY, event };
  });
  const rows = changesOf([songs], events).flatMap((changes) => changes.writes().flatMap((write) => write.rows));
  await client.query('INSERT INTO songs SELECT * FROM json_populate_recordset(NULL::songs, $1)', [
    JSON.stringify(rows),
  ]);
  await client.query('ANALYZE songs');
}

it('finds by any text, with or without the index, exactly what comparing every song finds', async () => {
  const seed = Number(process.env.SEED ?? Math.floor(Math.random() * 2 ** 31));
  console.log(`SEED=${seed}`);
  const titles = fc.sample(text(0), { numRuns: SONGS, seed });
  await fill(titles);
  const bounds = fc.tuple(fc.nat(SONGS - 1), fc.nat(60), fc.nat(60), fc.boolean(), fc.boolean());
  const within = ([song, a, b, isFlipped, isReversed]: [number, number, number, boolean, boolean]) => {
    const letters = Array.from(titles[song] ?? '');
    if (isReversed) letters.reverse();
    const part = letters.slice(Math.min(a, b), Math.max(a, b)).join('');
    return { column: isReversed ? 'performer' : 'title', sought: isFlipped ? flip(part) : part };
  };
  await client.query('SET enable_seqscan = off');
  let long = 0;
  for (const { column, sought } of fc.sample(bounds, { numRuns: 400, seed }).map(within)) {
    const wanted = slowFold(sought);
    const isFound = (title: string) => slowFold(column === 'title' ? title : reversed(title)).includes(wanted);
    const compared = titles.flatMap((title, n) => (isFound(title) ? [`song-${n}`] : []));
    const found = await idsOf({ [column]: sought });
    expect({ column, sought, found }).toEqual({ column, sought, found: compared.sort() });
    if (sought.length > 15 && found.length > 0) long += 1;
  }
  expect(long).toBeGreaterThan(50);
});

it.each([
  ['Noël', 'NOE\u0308L'],
  ['Noe\u0308l', 'noël'],
  ['ΟΔΥΣΣΕΥΣ', 'οδυσσευς'],
  ['Ὀδυσσεύς', 'ὀδυσσεύσ'],
  ['strange', 'ſtrange'],
  ['Große Freiheit', 'GROSSE'],
  ['ﬁlm', 'FILM'],
  ['ＡＢＣ', 'abc'],
])('finds %j by %j, and shows it as it was sent', async (title, sought) => {
  await fill([title, 'Another']);
  const list = searchSongs({ first: query, query }, { title: sought });
  expect((await list.next(7))?.map((song) => song.title)).toEqual([title]);
});

it('does not find a letter with an accent by one without', async () => {
  await fill(['Noël', 'Noe\u0308l']);
  expect(await idsOf({ title: 'noel' })).toEqual([]);
});
