import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import type { QueryConfig } from 'pg';
import { newJobId } from '../../test/support/jobs.ts';
import { type MigratedTables, migratedTables } from '../../test/support/tables.ts';
import type { Database } from '../postgres/pool.ts';
import { createRefusals, forgetRefusals } from './refusals.ts';

const [MINUTE_MS, DAY_MS] = [60_000, 86_400_000];
const NOW = Date.UTC(2026, 0, 1);

let tables: Database;
let drop: MigratedTables['drop'];
let jobId: string;

beforeAll(async () => void ({ tables, drop } = await migratedTables()));
beforeEach(() => void (jobId = newJobId()));
afterAll(() => drop());

/** A worker that has just started. */
const start = (maxMs = DAY_MS) => createRefusals(tables, maxMs);

/** Moves the first refusal into the past. */
const age = (ms: number) =>
  tables.query({
    text: `UPDATE mail_refusals SET since = since - $2 * interval '1 ms' WHERE job_id = $1`,
    values: [jobId, ms],
  });

describe('a recipient that is refused for now', () => {
  it('is tried again after 1, 5, 15, 30 and 60 minutes and then each hour, with jitter, by any worker', async () => {
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
    // Also when little time is left, because a worker whose clock is behind comes too early.
    expect(last).toBeGreaterThanOrEqual(MINUTE_MS);
    expect(last).toBeLessThanOrEqual(2 * MINUTE_MS);
    await age(10_000);
    expect(await note({ jobId })).toBeUndefined();
  });

  it('is tried for the configured time', async () => {
    const note = start(5_000);
    const last = await note({ jobId });
    expect(last).toBeGreaterThanOrEqual(5_000);
    expect(last).toBeLessThanOrEqual(5_500);
    await age(4_000);
    expect(await note({ jobId })).toBeGreaterThanOrEqual(250);
    await age(1_000);
    expect(await note({ jobId })).toBeUndefined();
  });

  it('has the whole time again when its job is retried', async () => {
    const note = start();
    await note({ jobId });
    await age(DAY_MS);
    expect(await note({ jobId })).toBeUndefined();
    await forgetRefusals(tables, jobId);
    expect(await note({ jobId })).toBeLessThanOrEqual(1.2 * MINUTE_MS);
  });
});

describe('refused recipients of a batch', () => {
  it('have a time each, and come due together', async () => {
    const note = start();
    await note({ jobId, item: 1 });
    const pauses = await Promise.all([0, 1, 2, 3].map((item) => note({ jobId, item })));
    expect(pauses[1]).toBeGreaterThanOrEqual(5 * MINUTE_MS);
    expect(pauses[0]).toBeLessThanOrEqual(1.2 * MINUTE_MS);
    expect([pauses[2], pauses[3]]).toEqual([pauses[0], pauses[0]]);
  });

  it('come due together after the first hour, in one or two waves, when the batch took 700 s', async () => {
    /** When an item is due that is refused after this time, in milliseconds. */
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

  it('are recorded once when two workers report the same one at the same time', async () => {
    const note = start();
    const pauses = await Promise.all([note({ jobId, item: 0 }), note({ jobId, item: 0 })]);
    for (const pause of pauses) expect(pause).toBeLessThanOrEqual(1.2 * MINUTE_MS);
  });

  it('are recorded in one statement, a thousand of them', async () => {
    const asked: string[] = [];
    const counting: Database = { ...tables, query: (query) => (asked.push(query.name ?? ''), tables.query(query)) };
    const note = createRefusals(counting, DAY_MS);
    await Promise.all(Array.from({ length: 1_000 }, (_, item) => note({ jobId, item })));
    expect(asked).toEqual(['note-refusals']);
  });
});
