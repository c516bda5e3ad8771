import { afterAll, beforeAll, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { keepItems, newJobId, queuedJob } from '../../../test/support/jobs.ts';
import { type MigratedTables, migratedTables } from '../../../test/support/tables.ts';
import type { JobCommand } from '../../commands/job.ts';
import { createItems } from '../items.ts';
import type { JobType, JobServices, Work } from '../job-type.ts';
import type { QueuedJob } from '../leases.ts';
import { createRefusals } from '../refusals.ts';
import type { Database } from '../../postgres/pool.ts';
import type { Attempt, AttemptEvents } from './attempt.ts';
import { working } from './work.ts';

let tables: Database;
let drop: MigratedTables['drop'];
let jobId: string;

beforeAll(async () => void ({ tables, drop } = await migratedTables()));
beforeEach(() => void (jobId = newJobId()));
afterAll(() => drop());

/** One attempt at a job of a type with this work. */
function attempt(
  work: JobType['work'],
  number = 1,
  given: Partial<QueuedJob> = {},
  access: JobType['access'] = 'users',
  append?: AttemptEvents['append'],
) {
  const told: JobCommand[] = [];
  const job = queuedJob({ jobId, ...given });
  const { signal } = new AbortController();
  const tell: AttemptEvents['append'] = (command) => Promise.resolve(void told.push(command));
  const events = { version: 1, append: append ?? tell };
  const tools = { scratch: '/tmp' } as JobServices;
  const handle = working({ tables, services: tools });
  const all: Attempt = { job, type: { work, access } as JobType, number, signal, events };
  return { told, run: () => handle(all) };
}

it('passes all fields of the job to its type, and returns its outcome', async () => {
  let given: Work | undefined;
  const job = { parameters: '{"a":1}', payloadId: 'p', payload: { to: 'x' }, provider: 'smtp', allowed: 5 };
  const backoff = { strategy: 'fixed', firstMs: 1, maxMs: 2 };
  const { run } = attempt((work) => ((given = work), Promise.resolve({ result: { b: 2 } })), 2, { ...job, backoff });
  expect(await run()).toEqual({ kind: 'completed', outcome: { result: { b: 2 } } });
  expect(given).toMatchObject({
    jobId,
    ownerId: 'user-1',
    ownerIsAdmin: false,
    attempt: 2,
    allowed: 5,
    parameters: { a: 1 },
    payload: { to: 'x' },
    provider: 'smtp',
    pauses: { firstMs: 1, maxMs: 2, strategy: 'fixed' },
  });
});

it('fails for good, without work, when the payload is missing', async () => {
  const work = jest.fn(() => Promise.resolve({}));
  const { run } = attempt(work, 1, { payloadId: 'p' });
  await expect(run()).rejects.toMatchObject({ kind: 'permanent', code: 'PAYLOAD_LOST' });
  expect(work).not.toHaveBeenCalled();
});

describe('a job runs with the current rights of its owner', () => {
  /** A new account with this role. */
  async function owner(role: string, locked = false): Promise<string> {
    const id = `user-${jobId}`;
    await tables.query({
      text: `INSERT INTO accounts (id, username, fullname, password_hash, role, locked, command_id, body_hash)
        VALUES ($1, $1, '', '', $2, $3, gen_random_uuid(), '')
        ON CONFLICT (id) DO UPDATE SET role = excluded.role, locked = excluded.locked`,
      values: [id, role, locked],
    });
    return id;
  }

  it.each([
    ['admin', false, true],
    ['user', false, false],
  ])('which its type gets: %s', async (role, locked, expected) => {
    const told: boolean[] = [];
    const work: JobType['work'] = ({ ownerIsAdmin }) => Promise.resolve({ result: { n: told.push(ownerIsAdmin) } });
    await attempt(work, 1, { ownerId: await owner(role, locked) }).run();
    expect(told).toEqual([expected]);
  });

  it.each([
    ['of an admin', 'admin', false, undefined],
    ['of an admin who has become a user', 'user', false, 'OWNER_NO_ADMIN'],
    ['of an admin who is locked', 'admin', true, 'OWNER_LOCKED'],
  ])('when it is for admins only: %s', async (_, role, locked, code) => {
    const work = jest.fn(() => Promise.resolve({}));
    const { run } = attempt(work, 1, { ownerId: await owner(role, locked) }, 'admins');
    const failed = await run().then(
      () => undefined,
      (error: unknown) => error,
    );
    expect(failed).toEqual(code && expect.objectContaining({ kind: 'permanent', code }));
    expect(work).toHaveBeenCalledTimes(code === undefined ? 1 : 0);
  });

  it('not at all while the owner is locked', async () => {
    const work = jest.fn(() => Promise.resolve({}));
    const ownerId = await owner('user', true);
    await expect(attempt(work, 1, { ownerId }).run()).rejects.toMatchObject({
      kind: 'permanent',
      code: 'OWNER_LOCKED',
    });
    expect(work).not.toHaveBeenCalled();
    await owner('user');
    await attempt(work, 2, { ownerId }).run();
    expect(work).toHaveBeenCalledTimes(1);
  });

  it('for at most a second after the owner has lost them, in all concurrent steps', async () => {
    const ownerId = await owner('admin');
    const clock = jest.spyOn(performance, 'now').mockReturnValue(0);
    const work: JobType['work'] = async ({ mustBeAllowed }) => {
      clock.mockReturnValue(1_500);
      await mustBeAllowed();
      await owner('user');
      clock.mockReturnValue(2_400);
      await mustBeAllowed();
      clock.mockReturnValue(2_600);
      const both = await Promise.allSettled([mustBeAllowed(), mustBeAllowed()]);
      expect(both.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
      await mustBeAllowed();
      return {};
    };
    const { run } = attempt(work, 1, { ownerId }, 'admins');
    await expect(run()).rejects.toMatchObject({ kind: 'permanent', code: 'OWNER_NO_ADMIN' });
    clock.mockRestore();
  });
});

describe('an effect', () => {
  it('happens once in all attempts, by its name', async () => {
    const done: string[] = [];
    const work: JobType['work'] = async ({ once }) => {
      await Promise.all(['file', 'mail'].map((name) => once(name, () => Promise.resolve(done.push(name)))));
      throw new Error('cut');
    };
    for (const number of [1, 2, 3]) await expect(attempt(work, number).run()).rejects.toThrow('cut');
    expect(done).toEqual(['file', 'mail']);
  });

  it('that failed happens again', async () => {
    let tries = 0;
    const work: JobType['work'] = async ({ once }) => {
      await once('mail', () => ((tries += 1), tries === 1 ? Promise.reject(new Error('cut')) : Promise.resolve()));
      return {};
    };
    await expect(attempt(work, 1).run()).rejects.toThrow('cut');
    await attempt(work, 2).run();
    await attempt(work, 3).run();
    expect(tries).toBe(2);
  });

  it('of another job is independent', async () => {
    const done: string[] = [];
    const work: JobType['work'] = async (its) => {
      await its.once('mail', () => Promise.resolve(done.push(its.jobId)));
      return {};
    };
    await attempt(work, 2).run();
    jobId = newJobId();
    await attempt(work, 2).run();
    expect(done).toHaveLength(2);
  });
});

describe('failed items are done again', () => {
  it('once for each retry, in any number of attempts', async () => {
    await keepItems(tables, jobId, [null, null]);
    await createItems(tables, jobId).failed(1, 'refused');
    await createItems(tables, jobId).done(0);
    const due: number[][] = [];
    const look: JobType['work'] = async ({ items }) => {
      const some = await items.due(10);
      due.push(some.map(({ index }) => index));
      for (const { index } of some) await items.failed(index, 'again refused');
      return {};
    };
    const mine = { payloadId: jobId, payload: {} };
    await attempt(look, 3, { ...mine, retriedThrough: 2 }).run();
    await attempt(look, 4, { ...mine, retriedThrough: 2 }).run();
    await attempt(look, 5, { ...mine, retriedThrough: 4 }).run();
    expect(due).toEqual([[1], [], [1]]);
  });

  it('and their recipients have the whole time again', async () => {
    const note = createRefusals(tables, 86_400_000);
    for (let refusals = 1; refusals <= 5; refusals++) await note({ jobId });
    await attempt(() => Promise.resolve({}), 3, { retriedThrough: 2 }).run();
    expect(await note({ jobId })).toBeLessThanOrEqual(72_000);
  });
});

it('records progress at most once a second, and only when it has changed', async () => {
  const clock = jest.spyOn(performance, 'now');
  const at = (ms: number) => clock.mockReturnValue(1_000_000 + ms);
  const numbers = { done: 1, total: 3, failed: 0 };
  at(0);
  const { run, told } = attempt(async ({ progress }) => {
    at(500);
    await progress(numbers);
    at(1_000);
    await progress(numbers);
    at(1_500);
    await progress({ ...numbers, done: 2 });
    at(3_000);
    await progress(numbers);
    await progress({ ...numbers, done: 3 });
    at(4_000);
    await progress({ ...numbers, done: 3 });
    return {};
  });
  await run();
  clock.mockRestore();
  const said = { type: 'Progress', attempt: 1, total: 3, failed: 0 };
  expect(told).toEqual([{ ...said, done: 1 }, { ...said, done: 3 }]); // prettier-ignore
});

describe('progress that cannot be recorded', () => {
  /** Reports progress once a second, as often as given. */
  const saying =
    (times: number): JobType['work'] =>
    async ({ progress }) => {
      const clock = jest.spyOn(performance, 'now');
      for (let done = 1; done <= times; done++) {
        clock.mockReturnValue(1e9 + done * 1_000);
        await progress({ done, total: times, failed: 0 });
        await new Promise(setImmediate);
      }
      clock.mockRestore();
      return {};
    };

  it('does not delay the work; one checkpoint waits', async () => {
    const append = jest.fn(() => new Promise<void>(() => undefined));
    expect(await attempt(saying(3), 1, {}, 'users', append).run()).toMatchObject({ kind: 'completed' });
    expect(append).toHaveBeenCalledTimes(1);
  });

  it('ends the attempt when it is refused for good', async () => {
    const append = () => Promise.reject(new Error('changed since'));
    await expect(attempt(saying(2), 1, {}, 'users', append).run()).rejects.toThrow('changed since');
  });
});
