import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { queuedJob } from '../../test/support/jobs.ts';
import type { Held, Leases, QueuedJob, Sharing } from './leases.ts';
import { type Runner, type RunnerOptions, startRunner } from './runner.ts';
import type { Postponed } from './in-flight.ts';

/** Jest's clock does not reach the timers of `node:timers/promises`. */
const wait = (ms: number, signal: AbortSignal) =>
  new Promise<void>((resolve) => {
    const timer = setTimeout(resolve, ms);
    const wake = () => {
      clearTimeout(timer);
      resolve();
    };
    if (signal.aborted) wake();
    else signal.addEventListener('abort', wake);
  });

const LEASE_MS = 30_000;
const pass = (ms: number) => jest.advanceTimersByTimeAsync(ms);

/** Runners that are stopped after each test. */
const left: (() => void)[] = [];
const running: Runner[] = [];
beforeEach(() => void jest.useFakeTimers({ now: 1_000_000 }));
afterEach(async () => {
  const stopping = running.splice(0).map((each) => each.stop());
  for (const end of left.splice(0)) end();
  await pass(20_000);
  await Promise.all(stopping);
  expect(jest.getTimerCount()).toBe(0);
  jest.useRealTimers();
});

type Mutable<T> = { -readonly [Key in keyof T]: T[Key] };

/** A queue in memory, with the leases of one worker. */
function leasesInMemory(waiting: QueuedJob[]) {
  const ours = new Map<string, number | undefined>();
  const asked: { lanes: readonly string[]; limit: number; sharing: Sharing | undefined }[] = [];
  const answer = async <T>(work: () => T): Promise<T> => {
    if (leaseBook.fault === 'refuses') throw new Error('no database');
    if (leaseBook.fault === 'hangs')
      await new Promise<void>((_, reject) =>
        left.push(() => {
          reject(new Error('cut'));
        }),
      );
    return Promise.resolve(work());
  };
  const leaseBook = {
    waiting,
    ours,
    asked,
    released: [] as Held[],
    /** The version to which the queue has come. Leases of later versions are kept. */
    queueVersion: Infinity,
    nextMs: undefined as number | undefined,
    /** Undefined when it answers. */
    fault: undefined as 'refuses' | 'hangs' | undefined,
    leases: leasesOf(),
  };
  return leaseBook;

  function leasesOf(): Mutable<Leases> {
    return {
      take: (lanes, limit, sharing) =>
        answer(() => {
          asked.push({ lanes, limit, sharing });
          const found = leaseBook.waiting.filter(({ lane }) => lanes.includes(lane)).slice(0, limit);
          leaseBook.waiting = leaseBook.waiting.filter((job) => !found.includes(job));
          for (const { jobId, attempt } of found) ours.set(jobId, attempt + 1);
          return found;
        }),
      renew: (ids) => answer(() => new Map([...ours].filter(([id]) => ids.includes(id)))),
      release: (jobs) =>
        answer(() => {
          const gone = jobs.filter(({ jobId, version }) => version <= leaseBook.queueVersion || !ours.has(jobId));
          leaseBook.released.push(...gone.filter(({ jobId }) => ours.has(jobId)));
          for (const { jobId } of gone) ours.delete(jobId);
          return gone.map(({ jobId }) => jobId);
        }),
      comeDue: () => answer(() => leaseBook.nextMs),
    };
  }
}

interface Handled {
  readonly job: QueuedJob;
  readonly signal: AbortSignal;
  finish(outcome?: number | Postponed): void;
  fail(error: Error): void;
}

/** A runner whose jobs the test ends. */
async function start(jobs: readonly QueuedJob[], options: Partial<RunnerOptions> = {}) {
  const leaseBook = leasesInMemory([...jobs]);
  const begun: Handled[] = [];
  const reports: string[] = [];
  const runner = startRunner({
    leases: leaseBook.leases,
    lanes: () => [{ name: 'dummy', state: 'closed' }],
    concurrency: 2,
    leaseMs: LEASE_MS,
    handle(job, signal) {
      const { promise, resolve, reject } = Promise.withResolvers<number | Postponed>();
      left.push(() => resolve(job.version));
      begun.push({ job, signal, finish: (outcome = job.version + 2) => resolve(outcome), fail: reject });
      return promise;
    },
    wait,
    report: (message) => reports.push(message),
    ...options,
  });
  running.push(runner);
  await pass(0);
  return { leaseBook, begun, reports, runner };
}

const jobsOf = (count: number, given: Partial<QueuedJob> = {}) => Array.from({ length: count }, () => queuedJob(given));

const finishAll = (begun: readonly Handled[]) => {
  for (const each of begun) each.finish();
};

describe('a runner takes', () => {
  it('for accounts in turn, with the places that each holds and half of all places, rounded up, as their share', async () => {
    const jobs = [...jobsOf(2, { ownerId: 'a' }), ...jobsOf(1, { ownerId: 'b' })];
    const { leaseBook, runner } = await start(jobs, { concurrency: 5 });
    runner.wake();
    await pass(1_000);
    expect(leaseBook.asked.at(-1)).toMatchObject({ limit: 2, sharing: { share: 3, held: new Map([['a', 2], ['b', 1]]) } }); // prettier-ignore
  });

  it('as many jobs as there is room for, and another for each that ends', async () => {
    const jobs = jobsOf(5);
    const { begun, runner, leaseBook } = await start(jobs);
    expect([begun.length, runner.running]).toEqual([2, 2]);
    begun[1]!.finish();
    await pass(0);
    expect(begun.map(({ job }) => job)).toEqual(jobs.slice(0, 3));
    expect(leaseBook.asked.every(({ limit }) => limit <= 2)).toBe(true);
    for (let index = 0; index < 5; index++) {
      begun[index]!.finish();
      await pass(0);
    }
    expect([begun.length, runner.running]).toEqual([5, 0]);
  });

  it('due jobs at a wake signal, and without one after half a second', async () => {
    const { begun, leaseBook, runner } = await start([]);
    leaseBook.waiting.push(...jobsOf(1));
    await pass(400);
    expect(begun).toHaveLength(0);
    runner.wake();
    await pass(0);
    expect(begun).toHaveLength(1);
    leaseBook.waiting.push(...jobsOf(1));
    await pass(500);
    expect(begun).toHaveLength(2);
  });

  it('jobs together that come one by one while others run, and at once when all its places were taken', async () => {
    const { leaseBook, begun, runner } = await start(jobsOf(1), { concurrency: 10 });
    const turns = leaseBook.asked.length;
    for (let n = 0; n < 5; n++) {
      leaseBook.waiting.push(...jobsOf(1));
      runner.wake();
      await pass(9);
    }
    expect([begun.length, leaseBook.asked.length]).toEqual([1, turns]);
    await pass(10);
    expect([begun.length, leaseBook.asked.length]).toEqual([6, turns + 1]);
    leaseBook.waiting.push(...jobsOf(5));
    await pass(500);
    finishAll(begun.slice(0, 1));
    await pass(0);
    expect([begun.length, runner.running]).toEqual([11, 10]);
  });

  it('another job of a single account as soon as one ends, but none for the last place', async () => {
    const { leaseBook, begun } = await start(jobsOf(2), { concurrency: 3 });
    const { take } = leaseBook.leases;
    leaseBook.leases.take = (lanes, limit, sharing) => take(lanes, limit - 1, sharing);
    for (let n = 0; n < 5; n++) {
      leaseBook.waiting.push(...jobsOf(1));
      begun[n]!.finish();
      await pass(0);
      expect(begun).toHaveLength(n + 3);
    }
  });

  it('a job at its time', async () => {
    const { begun, leaseBook } = await start([]);
    leaseBook.nextMs = 120;
    await pass(500);
    leaseBook.waiting.push(...jobsOf(1));
    await pass(119);
    leaseBook.nextMs = undefined;
    await pass(1);
    expect(begun).toHaveLength(1);
  });

  it('again at once when other workers have taken the same jobs', async () => {
    const { begun, leaseBook, runner } = await start([]);
    leaseBook.nextMs = -5;
    runner.wake();
    await pass(2);
    leaseBook.waiting.push(...jobsOf(1));
    await pass(2);
    expect(begun).toHaveLength(1);
    leaseBook.nextMs = undefined;
  });

  it('one job of a half-open lane, and none of an open one', async () => {
    const lanes = [
      { name: 'a', state: 'half-open' },
      { name: 'b', state: 'open' },
      { name: 'c', state: 'closed' },
    ] as const;
    const jobs = ['a', 'a', 'b', 'c'].map((lane) => queuedJob({ lane }));
    const { begun, runner } = await start(jobs, { lanes: () => lanes, concurrency: 10 });
    runner.wake();
    await pass(5_000);
    expect(begun.map(({ job }) => job.lane).sort()).toEqual(['a', 'c']);
    begun.find(({ job }) => job.lane === 'a')!.finish();
    await pass(0);
    expect(begun.map(({ job }) => job.lane).sort()).toEqual(['a', 'a', 'c']);
  });

  it('of a half-open lane a job with a mail to another domain than the failed one, where one is known', async () => {
    const lanes = [
      { name: 'a', state: 'half-open', failedDomain: 'bad.example' },
      { name: 'b', state: 'half-open' },
    ] as const;
    const { leaseBook } = await start([], { lanes: () => lanes });
    expect(leaseBook.asked.slice(0, 2)).toEqual([
      { lanes: ['a'], limit: 1, sharing: { otherDomainThan: 'bad.example' } },
      { lanes: ['b'], limit: 1, sharing: {} },
    ]);
  });

  it('nothing while the database is away, which it reports, and goes on when it is back', async () => {
    const { begun, leaseBook, reports } = await start([]);
    leaseBook.fault = 'refuses';
    leaseBook.waiting.push(...jobsOf(1));
    leaseBook.nextMs = -1;
    await pass(2_000);
    expect(reports.filter((each) => each.startsWith('jobs cannot be leased'))).toHaveLength(4);
    leaseBook.fault = undefined;
    leaseBook.nextMs = undefined;
    await pass(500);
    expect(begun).toHaveLength(1);
  });
});

describe('a lease', () => {
  it('is released once the queue has come to the version after the job', async () => {
    const [job] = jobsOf(1);
    const { begun, leaseBook } = await start([job!]);
    leaseBook.queueVersion = 2;
    begun[0]!.finish(3);
    await pass(1_000);
    expect(leaseBook.released).toEqual([]);
    leaseBook.queueVersion = 3;
    await pass(50);
    expect(leaseBook.released).toMatchObject([{ jobId: job!.jobId, version: 3 }]);
    const { length } = leaseBook.asked;
    await pass(1_000);
    expect(leaseBook.asked.length - length).toBeLessThanOrEqual(2);
  });

  it('is released after its time when the queue never comes to that version', async () => {
    const { begun, leaseBook } = await start(jobsOf(1));
    leaseBook.queueVersion = 2;
    begun[0]!.finish(3);
    await pass(LEASE_MS - 1_000);
    expect(leaseBook.released).toEqual([]);
    await pass(1_100);
    expect(leaseBook.released).toHaveLength(1);
  });

  it('of a job whose handler fails is released, and its place is free', async () => {
    const jobs = jobsOf(2);
    const { begun, leaseBook, reports, runner } = await start(jobs, { concurrency: 1 });
    begun[0]!.fail(new Error('a fault of ours'));
    await pass(100);
    expect(begun.map(({ job }) => job)).toEqual(jobs);
    expect([leaseBook.released.length, runner.running]).toEqual([1, 1]);
    expect(reports).toEqual([expect.stringContaining('a fault of ours')]);
  });

  it('of a job without an outcome is kept for a moment', async () => {
    const { begun, leaseBook } = await start(jobsOf(1));
    begun[0]!.finish(begun[0]!.job.version);
    await pass(900);
    expect(leaseBook.released).toEqual([]);
    await pass(200);
    expect(leaseBook.released).toHaveLength(1);
  });

  it('of a postponed job is kept and renewed for that time, without frequent queries', async () => {
    const { begun, leaseBook } = await start(jobsOf(1));
    const { length } = leaseBook.asked;
    begun[0]!.finish({ pauseMs: 60_000 });
    await pass(59_000);
    expect([leaseBook.released, leaseBook.ours.size]).toEqual([[], 1]);
    expect(leaseBook.asked.length - length).toBeLessThanOrEqual(125);
    await pass(1_500);
    expect(leaseBook.released).toHaveLength(1);
  });

  it('that another worker has is dropped', async () => {
    const { begun, leaseBook, runner } = await start(jobsOf(1));
    leaseBook.ours.clear();
    runner.recheck();
    await pass(0);
    expect(begun[0]!.signal.reason).toBe('lease lost');
    leaseBook.queueVersion = 0;
    finishAll(begun);
    await pass(0);
    const { length } = leaseBook.asked;
    await pass(5_000);
    expect(leaseBook.asked.length - length).toBeLessThanOrEqual(11); // no job is left that it asks for often
  });

  it('is renewed as long as the job runs', async () => {
    const { begun, leaseBook } = await start(jobsOf(1));
    await pass(10 * LEASE_MS);
    expect(begun[0]!.signal.aborted).toBe(false);
    expect(leaseBook.released).toEqual([]);
  });
});

describe('a running job is interrupted', () => {
  it.each([
    ['when it has ended', undefined, 'job ended'],
    ['when another worker goes on with it', 7, 'job ended'],
    ['not when its attempt is the current one', 6, undefined],
    ['not when the queue is behind', 5, undefined],
  ])('%s', async (_, next, reason) => {
    const [job] = jobsOf(1, { attempt: 5 });
    const { begun, leaseBook, runner } = await start([job!]);
    leaseBook.ours.set(job!.jobId, next);
    runner.recheck();
    await pass(0);
    expect(begun[0]!.signal.reason).toBe(reason);
  });

  it.each(['refuses', 'hangs'] as const)('before its lease is over when the database %s', async (fault) => {
    const { begun, leaseBook, reports } = await start(jobsOf(1));
    await pass(LEASE_MS); // some renewals
    leaseBook.fault = fault;
    await pass(LEASE_MS / 2 - 1);
    expect(begun[0]!.signal.aborted).toBe(false);
    await pass(LEASE_MS / 2);
    expect(begun[0]!.signal.reason).toBe('database away');
    expect(reports.length).toBeGreaterThan(0);
    leaseBook.fault = undefined;
  });

  it('when it was leased here again after its lease had run out', async () => {
    const [job] = jobsOf(1);
    const { begun, leaseBook, runner } = await start([job!]);
    leaseBook.waiting.push(job!);
    runner.wake();
    await pass(50);
    expect(begun.map(({ signal }): unknown => signal.reason)).toEqual(['lease lost', undefined]);
    begun[0]!.finish();
    await pass(1_000);
    expect([leaseBook.released, runner.running]).toEqual([[], 1]);
    begun[1]!.finish();
    await pass(1_000);
    expect([leaseBook.released.length, runner.running]).toEqual([1, 0]);
  });
});

describe('a runner that stops', () => {
  it('takes no more jobs, and waits for running ones', async () => {
    const { begun, leaseBook, runner } = await start(jobsOf(3));
    const stopped = jest.fn();
    void runner.stop().then(stopped);
    await pass(4_999);
    expect([begun.length, begun[0]!.signal.aborted, stopped.mock.calls.length]).toEqual([2, false, 0]);
    finishAll(begun);
    await pass(0);
    expect([stopped.mock.calls.length, leaseBook.ours.size, begun.length]).toEqual([1, 0, 2]);
    expect(jest.getTimerCount()).toBe(0);
  });

  it('interrupts jobs that run for more than five seconds', async () => {
    const { begun, leaseBook, runner } = await start(jobsOf(1));
    leaseBook.queueVersion = 1;
    const stopped = jest.fn();
    void runner.stop().then(stopped);
    await pass(5_000);
    expect(begun[0]!.signal.reason).toBe('process stops');
    expect(stopped).not.toHaveBeenCalled();
    finishAll(begun);
    await pass(0);
    expect(stopped).toHaveBeenCalled();
    expect(leaseBook.ours.size).toBe(0);
  });

  it('leaves no timer', async () => {
    const { runner } = await start([]);
    const stopped = runner.stop();
    await pass(0);
    await stopped;
    expect(jest.getTimerCount()).toBe(0);
  });

  it('releases jobs that it was just taking', async () => {
    const { begun, leaseBook, runner } = await start([]);
    const { take } = leaseBook.leases;
    const { promise: answer, resolve } = Promise.withResolvers<void>();
    leaseBook.leases.take = (...args) => answer.then(() => take(...args));
    leaseBook.waiting.push(...jobsOf(1));
    runner.wake();
    await pass(0);
    const stopped = runner.stop();
    resolve();
    await pass(0);
    await stopped;
    expect(begun).toEqual([]);
    expect(leaseBook.released).toHaveLength(1);
  });

  it('can stop twice, and while the database is away', async () => {
    const { begun, leaseBook, runner } = await start(jobsOf(1));
    leaseBook.fault = 'refuses';
    const stopped = Promise.all([runner.stop(), runner.stop()]);
    finishAll(begun);
    await pass(1_000);
    await stopped;
    expect(runner.running).toBe(0);
  });
});
