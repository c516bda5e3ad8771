import { afterAll, beforeAll, expect, it } from '@jest/globals';
import fc from 'fast-check';
import pg from 'pg';
import { searchFor, songs } from '../../src/projections/songs.ts';
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

it('finds by long texts, looked up by parts of them, just what comparing every song finds', async () => {
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
    const found = await client.query<{ id: string }>(searchFor({ [column]: sought }, SONGS));
    expect({ column, sought, found: found.rows.map(({ id }) => id) }).toEqual({
      column,
      sought,
      found: compared.rows.map(({ id }: { id: string }) => id),
    });
    if (sought.length > 15 && found.rows.length > 0) long += 1;
  }
  expect(long).toBeGreaterThan(50);
});
