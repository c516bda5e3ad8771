import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import type { QueryConfig } from 'pg';
import { newJobId } from '../../test/support/jobs.ts';
import { createDatabase, namespace, type TestDatabase } from '../../test/support/servers/index.ts';
import { migrate } from '../postgres/migrate.ts';
import { type Database, openDatabase } from '../postgres/pool.ts';
import { createRefusals, forgetRefusals } from './refusals.ts';

const [MINUTE_MS, DAY_MS] = [60_000, 86_400_000];
const NOW = Date.UTC(2026, 0, 1);

let server: TestDatabase;
let tables: Database;
let jobId: string;

beforeAll(async () => {
  server = await createDatabase();
  const name = namespace();
  await migrate({ connection: server.connection, namespace: name });
  tables = openDatabase(server.connection, { name: 'refusals', max: 4, searchPath: [name, 'public'] });
});
beforeEach(() => void (jobId = newJobId()));
afterAll(async () => {
  await tables.stop();
  await server.drop();
});

/** As a worker has it that has just started. */
const start = (mostMs = DAY_MS) => createRefusals(tables, mostMs);

/** The first refusal was so long ago. */
const age = (ms: number) =>
  tables.query({
    text: `UPDATE mail_refusals SET since = since - $2 * interval '1 ms' WHERE job_id = $1`,
    values: [jobId, ms],
  });

describe('a recipient that is refused for now', () => {
  it('is tried again after 1, 5, 15, 30 and 60 minutes and then each hour, with jitter, whichever worker has it', async () => {
    const pauses: number[] = [];
    for (let refusals = 1; refusals <= 7; refusals++) pauses.push((await start()({ jobId })) ?? 0);
    for (const [index, minutes] of [1, 5, 15, 30, 60, 60, 60].entries()) {
      expect(pauses[index]! / MINUTE_MS).toBeGreaterThanOrEqual(minutes);
      expect(pauses[index]! / MINUTE_MS).toBeLessThanOrEqual(minutes * 1.2);
    }
  });

  it('is tried a last time when the time is over, and then no more', async () => {
    const note = start();
    await note({ jobId });
    await age(DAY_MS - 10_000);
    const last = await note({ jobId });
    // However little is left: a worker whose clock is behind comes too early.
    expect(last).toBeGreaterThanOrEqual(MINUTE_MS);
    expect(last).toBeLessThanOrEqual(2 * MINUTE_MS);
    await age(10_000);
    expect(await note({ jobId })).toBeUndefined();
  });

  it('has the time that is configured', async () => {
    const note = start(5_000);
    const last = await note({ jobId });
    expect(last).toBeGreaterThanOrEqual(5_000);
    expect(last).toBeLessThanOrEqual(5_500);
    await age(4_000);
    expect(await note({ jobId })).toBeGreaterThanOrEqual(250);
    await age(1_000);
    expect(await note({ jobId })).toBeUndefined();
  });

  it('has all the time again when its job is done again', async () => {
    const note = start();
    await note({ jobId });
    await age(DAY_MS);
    expect(await note({ jobId })).toBeUndefined();
    await forgetRefusals(tables, jobId);
    expect(await note({ jobId })).toBeLessThanOrEqual(1.2 * MINUTE_MS);
  });
});

describe('those of a batch', () => {
  it('each have their own time, and come due together', async () => {
    const note = start();
    await note({ jobId, item: 1 });
    const pauses = await Promise.all([0, 1, 2, 3].map((item) => note({ jobId, item })));
    expect(pauses[1]).toBeGreaterThanOrEqual(5 * MINUTE_MS);
    expect(pauses[0]).toBeLessThanOrEqual(1.2 * MINUTE_MS);
    expect([pauses[2], pauses[3]]).toEqual([pauses[0], pauses[0]]);
  });

  it('come due together, though the batch took 700 s: after the first hour in one wave or two', async () => {
    /** When an item is due that is refused so long from now, in milliseconds. */
    const dueAt = async (ofJob: string, item: number, inMs: number) => {
      const query: Database['query'] = async <Row extends Record<string, unknown>>(asked: QueryConfig) =>
        (await tables.query<Row>(asked)).map((row) => ({ ...row, nowMs: NOW + inMs }));
      return NOW + inMs + (await createRefusals({ ...tables, query }, DAY_MS)({ jobId: ofJob, item }))!;
    };
    const waves = async (ofJob: string) => {
      const times = await Promise.all(Array.from({ length: 36 }, (_, item) => dueAt(ofJob, item, item * 20_000)));
      return new Set(times.map(Math.round));
    };
    const most = [700 / 12 + 1, 700 / 60 + 1, 700 / 180 + 1, 700 / 360 + 1, 2];
    for (const waveCount of most) expect((await waves(jobId)).size).toBeLessThanOrEqual(Math.ceil(waveCount));
    const [mine, others] = [await waves(jobId), await dueAt(newJobId(), 0, 0)];
    expect(mine).not.toContain(Math.round(others));
  });

  it('are noted once when two workers have the same at the same moment', async () => {
    const note = start();
    const pauses = await Promise.all([note({ jobId, item: 0 }), note({ jobId, item: 0 })]);
    for (const pause of pauses) expect(pause).toBeLessThanOrEqual(1.2 * MINUTE_MS);
  });

  it('are noted in one statement, a thousand of them', async () => {
    const asked: string[] = [];
    const counting: Database = { ...tables, query: (query) => (asked.push(query.name ?? ''), tables.query(query)) };
    const note = createRefusals(counting, DAY_MS);
    await Promise.all(Array.from({ length: 1_000 }, (_, item) => note({ jobId, item })));
    expect(asked).toEqual(['note-refusals']);
  });
});
