import { afterAll, beforeAll, expect, it } from '@jest/globals';
import fc from 'fast-check';
import pg from 'pg';
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
/** Few, so that much is found; among them what patterns, words and cases make special. */
const LETTERS = [...Array.from('abcäÄßéÉиИΣσςİıǅ生%_\\\'" -\u{1F3B5}'), 'e\u0301'];
const text = (minLength: number) =>
  fc.string({ unit: fc.constantFrom(...LETTERS), minLength, maxLength: 60, size: 'max' });
const flip = (part: string) => (part === part.toLowerCase() ? part.toUpperCase() : part.toLowerCase());

const query = async <Row extends pg.QueryResultRow>(statement: pg.QueryConfig) =>
  (await client.query<Row>(statement)).rows;

/** As the API finds them, a few at a time. */
async function idsOf(filter: SongFilter): Promise<string[]> {
  const list = searchSongs({ first: query, query }, filter);
  const ids: string[] = [];
  for (let songs = await list.next(7); songs; songs = await list.next(7)) ids.push(...songs.map(({ id }) => id));
  return ids;
}

it('finds by any text, looked up by parts of it or not at all, just what comparing every song finds', async () => {
  const seed = Number(process.env.SEED ?? Math.floor(Math.random() * 2 ** 31));
  console.log(`SEED=${seed}`);
  const titles = fc.sample(text(0), { numRuns: SONGS, seed });
  const insert = `INSERT INTO songs SELECT 'song-' || n, 1, title, 2000, 'Pop', reverse(title)
    FROM unnest($1::text[]) WITH ORDINALITY AS t (title, n)`;
  await client.query(insert, [titles]);
  await client.query('ANALYZE songs');
  const bounds = fc.tuple(fc.nat(SONGS - 1), fc.nat(60), fc.nat(60), fc.boolean(), fc.boolean());
  const within = ([song, a, b, flipped, reversed]: [number, number, number, boolean, boolean]) => {
    const letters = Array.from(titles[song] ?? '');
    if (reversed) letters.reverse();
    const part = letters.slice(Math.min(a, b), Math.max(a, b)).join('');
    return { column: reversed ? 'performer' : 'title', sought: flipped ? flip(part) : part };
  };
  let long = 0;
  for (const { column, sought } of fc.sample(bounds, { numRuns: 400, seed }).map(within)) {
    const pattern = `%${sought.replace(/[\\%_]/g, '\\$&')}%`;
    await client.query('SET enable_bitmapscan = off; SET enable_indexscan = off');
    const compared = await client.query(`SELECT id FROM songs WHERE ${column} ILIKE $1 ORDER BY id`, [pattern]);
    await client.query('RESET ALL; SET enable_seqscan = off');
    const found = await idsOf({ [column]: sought });
    expect({ column, sought, found }).toEqual({
      column,
      sought,
      found: compared.rows.map(({ id }: { id: string }) => id),
    });
    if (sought.length > 15 && found.length > 0) long += 1;
  }
  expect(long).toBeGreaterThan(50);
});
