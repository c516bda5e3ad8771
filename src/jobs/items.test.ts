import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { keepItems, newJobId } from '../../test/support/jobs.ts';
import { type MigratedTables, migratedTables } from '../../test/support/tables.ts';
import type { Database } from '../postgres/pool.ts';
import { retryFailedItems, createItems, type Items } from './items.ts';

let tables: Database;
let drop: MigratedTables['drop'];
let jobId: string;
let items: Items;

beforeAll(async () => void ({ tables, drop } = await migratedTables()));
afterAll(() => drop());
beforeEach(async () => {
  jobId = newJobId();
  items = createItems(tables, jobId);
  for (const id of [jobId, newJobId()])
    await keepItems(
      tables,
      id,
      [0, 1, 2, 3].map((n) => ({ n })),
    );
});

const dueIndexes = async (limit = 100) => (await items.due(limit)).map(({ index }) => index);
const rows = () =>
  tables.query<Record<string, unknown>>({
    text: 'SELECT item, state, attempts, error, result, settled_at IS NOT NULL AS settled FROM job_items WHERE payload_id = $1 ORDER BY item',
    values: [jobId],
  });

it('returns due items in order, up to the limit, and of this job only', async () => {
  expect(await items.due(2)).toEqual([
    { index: 0, payload: { n: 0 }, attempts: 0 },
    { index: 1, payload: { n: 1 }, attempts: 0 },
  ]);
  expect(await dueIndexes()).toEqual([0, 1, 2, 3]);
});

it('keeps settled items settled', async () => {
  await Promise.all([items.done(0, '<id@mail>'), items.failed(1, 'refused'), items.done(2)]);
  expect(await dueIndexes()).toEqual([3]);
  await Promise.all([items.failed(0, 'late'), items.done(1, 'late'), items.postpone(2, 'late', 0)]);
  expect(await rows()).toEqual([
    { item: 0, state: 'done', attempts: 1, error: null, result: '<id@mail>', settled: true },
    { item: 1, state: 'failed', attempts: 1, error: 'refused', result: null, settled: true },
    { item: 2, state: 'done', attempts: 1, error: null, result: null, settled: true },
    { item: 3, state: 'waiting', attempts: 0, error: null, result: null, settled: false },
  ]);
  expect(await items.counts()).toEqual({ total: 4, done: 2, failed: 1 });
});

it('makes a postponed item wait, and stores its attempts and its error', async () => {
  await Promise.all([items.postpone(0, 'busy', 60_000), items.done(1), items.done(2), items.done(3)]);
  expect(await dueIndexes()).toEqual([]);
  const ms = (await items.nextIn())!;
  expect(ms).toBeGreaterThan(30_000);
  expect(ms).toBeLessThanOrEqual(60_000);
  await items.postpone(0, 'busy again', 0);
  expect(await items.due(1)).toEqual([{ index: 0, payload: { n: 0 }, attempts: 2 }]);
  expect((await rows())[0]).toMatchObject({ state: 'waiting', error: 'busy again', settled: false });
  await items.done(0);
  expect(await items.nextIn()).toBeUndefined();
});

it('makes a deferred item wait, stores its error, and counts no attempt', async () => {
  await Promise.all([items.defer(0, 'greylisted', 60_000), items.done(1), items.done(2), items.done(3)]);
  expect(await dueIndexes()).toEqual([]);
  expect((await rows())[0]).toMatchObject({ state: 'waiting', attempts: 0, error: 'greylisted', settled: false });
  await items.defer(0, 'greylisted', 0);
  expect(await items.due(1)).toEqual([{ index: 0, payload: { n: 0 }, attempts: 0 }]);
});

it('returns mails to the given domain last', async () => {
  const mails = ['a@bad.example', 'b@Bad.example', 'c@good.example', 'd@bad.example'].map((to) => ({ to }));
  const id = newJobId();
  await keepItems(tables, id, mails);
  const due = await createItems(tables, id).due(10, 'bad.example');
  expect(due.map(({ index }) => index)).toEqual([2, 0, 1, 3]);
});

it('finds the next due time over all items', async () => {
  await Promise.all([0, 1, 2, 3].map((index) => items.postpone(index, 'busy', 100_000 - index * 10_000)));
  expect(await items.nextIn()).toBeLessThanOrEqual(70_000);
});

it('adds a reported item once', async () => {
  await items.report(17, 'line 17 is no song');
  await items.report(17, 'line 17 again');
  expect((await rows()).at(-1)).toEqual({
    item: 17,
    state: 'failed',
    attempts: 1,
    error: 'line 17 is no song',
    result: null,
    settled: true,
  });
  expect(await items.counts()).toEqual({ total: 5, done: 0, failed: 1 });
});

it('settles items of the same time in one statement', async () => {
  const asked: string[] = [];
  const counting: Database = {
    ...tables,
    query: (query) => (asked.push(query.name ?? ''), tables.query(query)),
  };
  const those = createItems(counting, jobId);
  await Promise.all([those.done(0), those.failed(1, 'x'), those.postpone(2, 'y', 0), those.done(3)]);
  expect(asked).toEqual(['settle-items']);
});

describe('retrying failed items', () => {
  it('makes only those due, as for the first time', async () => {
    await Promise.all([items.done(0), items.failed(1, 'refused'), items.postpone(2, 'busy', 60_000)]);
    await retryFailedItems(tables, jobId);
    expect(await items.due(100)).toMatchObject([
      { index: 1, attempts: 0 },
      { index: 3, attempts: 0 },
    ]);
    expect(await items.counts()).toEqual({ total: 4, done: 1, failed: 0 });
  });
});

it('does nothing for a job without items', async () => {
  const none = createItems(tables, newJobId());
  expect([await none.due(1), await none.counts(), await none.nextIn()]).toEqual([
    ...[[], { total: 0, done: 0, failed: 0 }, undefined],
  ]);
});
