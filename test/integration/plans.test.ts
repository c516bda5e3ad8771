import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { findAlbum } from '../../src/projections/albums.ts';
import { openCore, originOf } from '../support/core.ts';
import { createDatabase, type TestDatabase } from '../support/servers/index.ts';
import { until } from '../support/servers/waiting.ts';

let database: TestDatabase;
beforeAll(async () => {
  database = await createDatabase();
});
afterAll(() => database.drop());

const ALBUMS = 300;

it('no statement reads a whole table that grows, though it was planned when that was empty', async () => {
  const core = await openCore({ connection: database.connection });
  const [api, other] = [await core.openApi(), await core.openApi({ hints: false })];
  const albums = await Promise.all(Array.from({ length: ALBUMS }, () => api.createAlbum()));
  await Promise.all(albums.map(({ id }) => other.changeAlbum(id, 'X&Y', originOf({ repeatable: true }))));
  await Promise.all(albums.map(({ id }) => findAlbum(api.reads, id)));
  for (const each of [api, other]) await each.close();
  await core.starve(); // connections hand in their counts when they end

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
