import { hash } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import pg from 'pg';
import { clientConfig } from '../../src/postgres/pool.ts';
import { findAlbum } from '../../src/projections/albums.ts';
import { searchSongs, type SongFilter, songs } from '../../src/projections/songs.ts';
import { openCore, originOf } from '../support/core.ts';
import { createDatabase, type TestDatabase } from '../support/servers/index.ts';
import { until } from '../support/servers/waiting.ts';

let database: TestDatabase;
beforeAll(async () => {
  database = await createDatabase();
});
afterAll(() => database.drop());

const ALBUMS = 300;

it('no statement scans a growing table, even if it was planned when the table was empty', async () => {
  const core = await openCore({ connection: database.connection });
  const [api, other] = [await core.openApi(), await core.openApi({ hints: false })];
  const albums = await Promise.all(Array.from({ length: ALBUMS }, () => api.createAlbum()));
  await Promise.all(albums.map(({ id }) => other.changeAlbum(id, 'X&Y', originOf({ repeatable: true }))));
  await Promise.all(albums.map(({ id }) => findAlbum(api.reads, id)));
  for (const each of [api, other]) await each.close();
  await core.stopProjectors(); // connections report their statistics when they end

  const text = `SELECT relname AS table, seq_tup_read AS read, n_tup_ins AS written FROM pg_stat_user_tables
    WHERE relname IN ('albums', 'stream_events', 'log_records') AND n_tup_ins >= $1 ORDER BY relname`;
  let scans: readonly Record<string, unknown>[] = [];
  const handedIn = async () => (scans = await core.admin.query({ text, values: [ALBUMS] })).length === 3;
  await until(handedIn, 10_000, () => JSON.stringify(scans));
  expect(scans.map(({ table, read }) => [table, read])).toEqual([
    ['albums', 0],
    ['log_records', 0],
    ['stream_events', 0],
  ]);
  await core.close();
});

describe('a search of 1,000,000 songs', () => {
  const SONGS = 1_000_000;
  const TRIGRAMS = 'songs_folded_title_folded_performer_idx';
  let client: pg.Client;
  let other: TestDatabase;

  beforeAll(async () => {
    other = await createDatabase();
    client = new pg.Client(
      clientConfig(other.connection, { name: 'test', searchPath: ['s'], queryTimeoutMs: 600_000 }),
    );
    await client.connect();
    await client.query(`CREATE SCHEMA s; CREATE EXTENSION IF NOT EXISTS pg_trgm WITH SCHEMA s; ${songs.ddl}`);
    // Every two hundredth song has the same word in its title, and a tenth of them another.
    await client.query(`DROP INDEX ${TRIGRAMS}; SET maintenance_work_mem = '256MB';
      INSERT INTO songs SELECT 'song-' || md5(n::text), 1, title, 2000, 'Pop', performer, NULL, NULL, title, performer
        FROM generate_series(1, ${SONGS}) n,
        LATERAL (SELECT substr(md5((n + 1)::text), 1, 12) ||
          CASE WHEN n % 200 = 0 THEN ' seldom' WHEN n % 10 = 1 THEN ' often' ELSE '' END AS title) t,
        LATERAL (SELECT substr(md5((n + 2)::text), 1, 12) AS performer) p;
      CREATE INDEX ${TRIGRAMS} ON songs USING gin (folded_title gin_trgm_ops, folded_performer gin_trgm_ops); ANALYZE songs`);
  }, 600_000);
  afterAll(async () => {
    await client.end();
    await other.drop();
  });

  /** How many songs a search finds, and the indexes that its statements use, in order. */
  async function searched(filter: SongFilter) {
    const asked: pg.QueryConfig[] = [];
    const query = async <Row extends pg.QueryResultRow>(statement: pg.QueryConfig) => {
      asked.push(statement);
      return (await client.query<Row>(statement)).rows;
    };
    const list = searchSongs({ first: query, query }, filter);
    let found = 0;
    for (let rows = await list.next(250); rows; rows = await list.next(500)) found += rows.length;
    const indexes: string[] = [];
    for (const { text } of asked) indexes.push((await indexesOf(text)).join());
    return { found, indexes };
  }

  const plans = new Map<string, string[]>();
  async function indexesOf(text: string): Promise<string[]> {
    const known = plans.get(text);
    if (known) return known;
    const { rows } = await client.query<{ 'QUERY PLAN': string }>(`EXPLAIN (GENERIC_PLAN, COSTS OFF) ${text}`);
    const plan = rows.map((row) => row['QUERY PLAN']).join('\n');
    expect(plan).not.toContain('Seq Scan');
    const used = [...new Set(Array.from(plan.matchAll(/Scan (?:using|on) (songs_\w+)/g), ([, name = '']) => name))];
    plans.set(text, used);
    return used;
  }

  it('queries the trigram index once for few matches', async () => {
    expect(await searched({ title: md5(2).slice(0, 12), performer: md5(3).slice(0, 12) })).toEqual({
      found: 1,
      indexes: [TRIGRAMS],
    });
  });

  it('queries the trigram index twice for many pages, and reads the songs by their ids', async () => {
    const { found, indexes } = await searched({ title: 'SELDOM' });
    expect(found).toBe(SONGS / 200);
    expect(indexes.slice(0, 2)).toEqual([TRIGRAMS, TRIGRAMS]);
    expect(indexes.length).toBeGreaterThanOrEqual(11);
    expect(new Set(indexes.slice(2))).toEqual(new Set(['songs_pkey']));
  });

  it('queries the trigram index once for a large share of all songs, and walks the songs by id', async () => {
    const { found, indexes } = await searched({ title: 'often' });
    expect(found).toBe(SONGS / 10);
    expect(indexes[0]).toBe(TRIGRAMS);
    expect(new Set(indexes.slice(1))).toEqual(new Set(['songs_pkey']));
  });

  it('never queries the trigram index for a text that it cannot find', async () => {
    const { found, indexes } = await searched({ title: 'zz' });
    expect(found).toBe(0);
    expect(new Set(indexes)).toEqual(new Set(['songs_pkey']));
  });
});

const md5 = (n: number) => hash('md5', String(n));
