import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { keepItems, newJobId } from '../../test/support/jobs.ts';
import { type MigratedTables, migratedTables } from '../../test/support/tables.ts';
import type { Database } from '../postgres/pool.ts';
import { eachItem } from './each-item.ts';
import { createItems, type Item, type Items } from './items.ts';
import { JobFailure, type Progress, type Work } from './job-type.ts';

const COUNT = 600;

let tables: Database;
let drop: MigratedTables['drop'];
let jobId: string;
let items: Items;

beforeAll(async () => void ({ tables, drop } = await migratedTables()));
afterAll(() => drop());
beforeEach(() => plan(COUNT));

async function plan(count: number): Promise<void> {
  jobId = newJobId();
  items = createItems(tables, jobId);
  await keepItems(
    tables,
    jobId,
    Array.from({ length: count }, () => null),
  );
}

/** An attempt, and the progress that it reported. */
function attempt(signal = new AbortController().signal) {
  const said: Progress[] = [];
  const work: Work = {
    jobId,
    ownerId: 'user-1',
    ownerIsAdmin: false,
    attempt: 1,
    allowed: 3,
    pauses: { firstMs: 1, maxMs: 1 },
    parameters: {},
    payload: null,
    provider: undefined,
    signal,
    items,
    mustBeAllowed: () => Promise.resolve(),
    progress: (progress) => Promise.resolve(void said.push(progress)),
    once: (_, act) => act().then(() => undefined),
  };
  return { work, said };
}

const numbers = Array.from({ length: COUNT }, (_, index) => index);

it('does every item, several at once, and reports how many', async () => {
  const acted: number[] = [];
  let [now, most] = [0, 0];
  const { work, said } = attempt();
  const outcome = await eachItem(work, async ({ index }) => {
    acted.push(index);
    most = Math.max(most, (now += 1));
    await (index % 7 === 0 ? items.failed(index, 'refused') : items.done(index));
    now -= 1;
  });
  expect(acted.sort((one, other) => one - other)).toEqual(numbers);
  expect(most).toBe(16);
  expect(outcome).toEqual({ total: COUNT, done: COUNT - 86, failed: 86 });
  expect(said.at(-1)).toEqual(outcome);
  expect(said.length).toBeGreaterThan(2);
});

it('goes on after a crash with unsettled items, and does none twice', async () => {
  const settled: number[] = [];
  const act = async ({ index }: Item) => {
    if (settled.length === 300) throw new Error('cut');
    settled.push(index);
    await items.done(index);
  };
  await expect(eachItem(attempt().work, act)).rejects.toThrow('cut');
  expect(settled).toHaveLength(300);
  expect(await items.counts()).toMatchObject({ done: 300 });
  await eachItem(attempt().work, async ({ index }) => {
    settled.push(index);
    await items.done(index);
  });
  expect(settled.sort((one, other) => one - other)).toEqual(numbers);
});

it('waits for items in flight before it fails, and begins no more', async () => {
  const begun: number[] = [];
  const { promise: failed, resolve: fail } = Promise.withResolvers<void>();
  const act = async ({ index }: Item) => {
    begun.push(index);
    if (index === 3) {
      fail();
      throw new Error('cut');
    }
    await failed;
    await items.done(index);
  };
  await expect(eachItem(attempt().work, act)).rejects.toThrow('cut');
  expect(begun).toHaveLength(16);
  expect(await items.counts()).toMatchObject({ done: 15 });
});

it('leaves mails to a failed domain for the end', async () => {
  jobId = newJobId();
  items = createItems(tables, jobId);
  const domains = ['bad.example', 'good.example', 'bad.example'];
  await keepItems(
    tables,
    jobId,
    domains.map((domain) => ({ to: `ann@${domain}` })),
  );
  const acted: number[] = [];
  const act = async ({ index }: Item) => {
    acted.push(index);
    await items.done(index);
  };
  await eachItem(attempt().work, act, () => 'bad.example');
  expect(acted).toEqual([1, 0, 2]);
});

it('checks the owner’s rights before each item, and stops once they are lost', async () => {
  const acted: number[] = [];
  const { work } = attempt();
  const locked = new JobFailure('permanent', 'OWNER_LOCKED', 'locked');
  const mustBeAllowed = () => (acted.length < 100 ? Promise.resolve() : Promise.reject(locked));
  const act = async ({ index }: Item) => {
    acted.push(index);
    await items.done(index);
  };
  await expect(eachItem({ ...work, mustBeAllowed }, act)).rejects.toBe(locked);
  expect(acted.length).toBeLessThanOrEqual(100 + 15); // those that were allowed already
});

it('is completed after its last item, also when the owner has lost its rights by then', async () => {
  await plan(3);
  let acted = 0;
  const locked = new JobFailure('permanent', 'OWNER_LOCKED', 'locked');
  const mustBeAllowed = () => (acted < 3 ? Promise.resolve() : Promise.reject(locked));
  const act = async ({ index }: Item) => {
    await items.done(index);
    acted += 1;
  };
  expect(await eachItem({ ...attempt().work, mustBeAllowed }, act)).toMatchObject({ done: 3 });
});

describe('a postponed item', () => {
  it('is done in the same attempt when it is due soon, and the others meanwhile', async () => {
    await plan(40);
    const acted: string[] = [];
    const outcome = await eachItem(attempt().work, async ({ index, attempts }) => {
      acted.push(`${index}/${attempts}`);
      await (index === 5 && attempts < 2 ? items.postpone(index, 'busy', 30) : items.done(index));
    });
    expect(outcome).toEqual({ total: 40, done: 40, failed: 0 });
    expect(acted.slice(-2)).toEqual(['5/1', '5/2']);
    expect(acted).toHaveLength(42);
  });

  it('defers the attempt when it is due later', async () => {
    await plan(40);
    const act = ({ index }: Item) => (index === 5 ? items.postpone(index, 'busy', 60_000) : items.done(index));
    const ended = await eachItem(attempt().work, act).catch((error: unknown) => error);
    expect(ended).toBeInstanceOf(JobFailure);
    expect(ended).toMatchObject({ kind: 'deferred', code: 'ITEMS_WAIT' });
    expect((ended as JobFailure).pauseMs).toBeGreaterThan(30_000);
    expect(await items.counts()).toEqual({ total: 40, done: 39, failed: 0 });
  });
});

it('defers the attempt without a pause once its time is up, and finishes items in flight', async () => {
  await plan(40);
  const run = () =>
    eachItem(
      attempt().work,
      ({ index }) => items.done(index),
      () => undefined,
      0,
    );
  for (const done of [16, 32]) {
    await expect(run()).rejects.toMatchObject({ kind: 'deferred', code: 'ITEMS_WAIT', pauseMs: 0 });
    expect(await items.counts()).toMatchObject({ done });
  }
  expect(await run()).toEqual({ total: 40, done: 40, failed: 0 });
});

it('ends when it is interrupted, also while it waits for an item', async () => {
  await plan(1);
  const control = new AbortController();
  const act = async ({ index }: Item) => {
    await items.postpone(index, 'busy', 4_500);
    control.abort('job ended');
  };
  await expect(eachItem(attempt(control.signal).work, act)).rejects.toBe('job ended');
});

it('fails for good when the items are missing', async () => {
  await plan(0);
  await expect(eachItem(attempt().work, ({ index }) => items.done(index))).rejects.toMatchObject({
    kind: 'permanent',
    code: 'PAYLOAD_LOST',
  });
});
