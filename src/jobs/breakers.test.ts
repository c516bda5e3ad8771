import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { queuedJob } from '../../test/support/jobs.ts';
import { type MigratedTables, migratedTables } from '../../test/support/tables.ts';
import { until } from '../../test/support/servers/waiting.ts';
import type { Database } from '../postgres/pool.ts';
import { ProviderError } from '../providers/failure.ts';
import type { BreakerState, Opening } from './breaker-state.ts';
import { type Breakers, createBreakers } from './breakers.ts';
import { JobFailure } from './job-type.ts';
import type { Leases } from './leases.ts';
import { type Runner, startRunner } from './runner.ts';

/** An open time that a test outlasts, and one that it does not. */
const [BRIEFLY_MS, LONG_MS] = [1_500, 60_000];
/** By then each process has read the rows, also on a slow machine. */
const PATIENCE_MS = 15_000;

let tables: Database;
let drop: MigratedTables['drop'];
const running: Breakers[] = [];

beforeAll(async () => void ({ tables, drop } = await migratedTables()));
beforeEach(() => tables.query({ text: 'TRUNCATE breakers' }));
afterEach(async () => {
  await Promise.all(running.splice(0).map((each) => each.stop()));
});
afterAll(() => drop());

interface Given {
  readonly openMs: number;
  readonly database: Database;
  readonly opening: Opening;
}

const OPENING: Opening = { window: 20, minCalls: 10, share: 0.5 };

/** The breakers of one process. */
function start({ openMs = LONG_MS, database = tables, opening = OPENING }: Partial<Given> = {}) {
  const reports: string[] = [];
  const report = (message: string) => reports.push(message);
  const breakers = createBreakers({ tables: database, openMs, opening, report });
  running.push(breakers);
  return { breakers, reports };
}

const never = new AbortController().signal;
const again = () => Promise.reject(new ProviderError('retryable', 'SMTP_421', 'come back later'));
const refuse = () => Promise.reject(new ProviderError('permanent', 'SMTP_550', 'no such user'));
const defer = () => Promise.reject(new ProviderError('deferred', 'SMTP_450', 'greylisted'));
const work = () => Promise.resolve('sent');

/** The result of a call, or its error. */
const tried = (breakers: Breakers, act: (signal: AbortSignal) => Promise<unknown>, signal = never) =>
  breakers.call('smtp', signal, act).catch((error: unknown) => error);

async function times(count: number, breakers: Breakers, act: () => Promise<unknown>): Promise<void> {
  for (let left = count; left > 0; left--) await tried(breakers, act);
}

const isStill = (state: BreakerState, { stateOf }: Breakers) =>
  until(
    () => Promise.resolve(stateOf('smtp') === state),
    PATIENCE_MS,
    () => `it is ${stateOf('smtp')}, not ${state}`,
  );

describe('a closed breaker', () => {
  it('opens at ten calls of which half failed, and not before', async () => {
    const { breakers, reports } = start();
    await times(4, breakers, work);
    await times(5, breakers, again);
    expect(breakers.stateOf('smtp')).toBe('closed');
    await times(1, breakers, again);
    expect(breakers.stateOf('smtp')).toBe('open');
    expect(reports).toEqual([expect.stringContaining('smtp keeps failing')]);
  });

  it('opens within ten failures after many successes', async () => {
    const { breakers } = start();
    await times(100, breakers, work);
    await times(9, breakers, again);
    expect(breakers.stateOf('smtp')).toBe('closed');
    await times(1, breakers, again);
    expect(breakers.stateOf('smtp')).toBe('open');
  });

  it('stays closed below half, and never opens at a success', async () => {
    const { breakers } = start();
    for (let round = 0; round < 20; round++) {
      await times(2, breakers, work);
      await times(1, breakers, again);
    }
    expect(breakers.stateOf('smtp')).toBe('closed');
  });

  it('ignores permanent refusals', async () => {
    const { breakers } = start();
    await times(50, breakers, refuse);
    expect(breakers.stateOf('smtp')).toBe('closed');
    for (let round = 0; round < 10; round++) {
      await times(3, breakers, refuse);
      await times(1, breakers, again);
    }
    expect(breakers.stateOf('smtp')).toBe('open');
  });

  it('ignores deferred refusals', async () => {
    const { breakers } = start();
    await times(50, breakers, defer);
    expect(breakers.stateOf('smtp')).toBe('closed');
    await times(9, breakers, again);
    await times(50, breakers, defer);
    expect(breakers.stateOf('smtp')).toBe('closed');
    await times(1, breakers, again);
    expect(breakers.stateOf('smtp')).toBe('open');
  });

  it.each<[string, Opening, ('works' | 'fails')[]]>([
    ['at the first failure', { window: 1, minCalls: 1, share: 1 }, ['fails']],
    ['only when all have failed', { window: 3, minCalls: 3, share: 1 }, ['works', 'fails', 'fails', 'fails']],
    ['at one of four', { window: 4, minCalls: 4, share: 0.25 }, ['works', 'works', 'works', 'fails']],
    ['not for calls before its window', { window: 2, minCalls: 2, share: 1 }, ['fails', 'works', 'fails', 'fails']],
  ])('opens as configured: %s', async (_, opening, calls) => {
    const { breakers } = start({ opening });
    for (const [index, call] of calls.entries()) {
      expect([index, breakers.stateOf('smtp')]).toEqual([index, 'closed']);
      await tried(breakers, call === 'works' ? work : again);
    }
    expect(breakers.stateOf('smtp')).toBe('open');
  });

  it('opens for one provider only', async () => {
    const { breakers } = start();
    await times(10, breakers, again);
    expect(await breakers.call('disk', never, work)).toBe('sent');
    expect(breakers.stateOf('disk')).toBe('closed');
  });

  it('opens for unknown errors', async () => {
    const { breakers } = start();
    await times(10, breakers, () => Promise.reject(new TypeError('a fault')));
    expect(breakers.stateOf('smtp')).toBe('open');
  });
});

describe('an open breaker', () => {
  it('refuses calls with a deferred failure, and does not call the provider', async () => {
    const { breakers } = start();
    await times(10, breakers, again);
    let called = 0;
    const refused = await tried(breakers, () => Promise.resolve((called += 1)));
    expect(refused).toBeInstanceOf(JobFailure);
    expect(refused).toMatchObject({ kind: 'deferred', code: 'PROVIDER_LEFT_ALONE' });
    const { pauseMs } = refused as JobFailure;
    expect(pauseMs).toBeGreaterThan(30_000);
    expect(pauseMs).toBeLessThan(61_000);
    expect(called).toBe(0);
  });

  it('ends calls in flight at once, with a deferred failure', async () => {
    const { breakers } = start();
    const hanging = [0, 1, 2].map(() => tried(breakers, hang));
    await times(10, breakers, again);
    for (const ended of await Promise.all(hanging)) expect(ended).toMatchObject({ kind: 'deferred' });
  });

  it('is open in other processes as well, and ends their calls in flight', async () => {
    const [one, other] = [start().breakers, start().breakers];
    await isStill('closed', other);
    const hanging = tried(other, hang);
    await times(10, one, again);
    expect(await hanging).toMatchObject({ kind: 'deferred' });
    expect(other.stateOf('smtp')).toBe('open');
    expect(await tried(start().breakers, hang)).toMatchObject({ kind: 'deferred' }); // a process that has just started
  });

  it('returns a result that arrives nevertheless', async () => {
    const { breakers } = start();
    const { promise, resolve } = Promise.withResolvers<string>();
    const slow = tried(breakers, () => promise);
    await times(10, breakers, again);
    resolve('sent');
    expect(await slow).toBe('sent');
  });
});

const hang = (signal: AbortSignal) =>
  new Promise<never>((_, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error)));

/** Two processes in which the breaker is half-open. */
async function startHalfOpen() {
  const pair = [start({ openMs: BRIEFLY_MS }), start({ openMs: BRIEFLY_MS })] as const;
  const [one, other] = [pair[0].breakers, pair[1].breakers];
  await times(10, one, again);
  await Promise.all([isStill('half-open', one), isStill('half-open', other)]);
  return { one, other, reports: pair[0].reports };
}

/** Works on one job, a mail to that domain, once the breaker is half-open, and notes its calls in `tries`. */
function startGroup(breakers: Breakers, domain: string, tries: string[]): Runner {
  const jobs = [queuedJob({ lane: domain })];
  const leases: Leases = {
    take: () => Promise.resolve(jobs.splice(0)),
    comeDue: () => Promise.resolve(undefined),
    renew: (jobIds) => Promise.resolve(new Map(jobIds.map((jobId) => [jobId, 1]))),
    release: () => Promise.resolve([]),
  };
  return startRunner({
    leases,
    concurrency: 1,
    leaseMs: LONG_MS,
    report: () => undefined,
    lanes() {
      const lane = { name: domain, state: breakers.stateOf('smtp'), failedDomain: breakers.failedDomainOf('smtp') };
      return lane.state === 'half-open' ? [lane] : [];
    },
    async handle({ version }, signal) {
      const act = () => Promise.resolve(tries.push(domain));
      await breakers.call('smtp', signal, act, domain).catch(() => undefined);
      return version + 1;
    },
  });
}

describe('a breaker that has closed', () => {
  it('stays closed, with its calls in flight, when a second call learns late that it came too late', async () => {
    const late = Promise.withResolvers<void>();
    const query: Database['query'] = async (config) => {
      const rows = await tables.query(config);
      if (config.name === 'take-half-open' && rows.length === 0) await late.promise;
      return rows as never;
    };
    const { breakers } = start({ openMs: BRIEFLY_MS, database: { ...tables, query } });
    await times(10, breakers, again);
    await isStill('half-open', breakers);
    const calls = [tried(breakers, work), tried(breakers, work)];
    expect(await Promise.race(calls)).toBe('sent');
    const { promise, resolve, reject } = Promise.withResolvers<string>();
    const inFlight = tried(breakers, (signal) => (signal.addEventListener('abort', reject), promise));
    late.resolve();
    expect(await Promise.all(calls)).toContainEqual(expect.objectContaining({ kind: 'deferred' }));
    expect(breakers.stateOf('smtp')).toBe('closed');
    resolve('sent');
    expect(await inFlight).toBe('sent');
  });
});

describe('a half-open breaker', () => {
  it('admits one call of all processes', async () => {
    const { one, other } = await startHalfOpen();
    const called: (() => void)[] = [];
    const act = () => new Promise<string>((resolve) => called.push(() => resolve('sent')));
    const calls = [one, other, one, other, one, other].map((each) => tried(each, act));
    const refused: unknown[] = [];
    for (const call of calls) void call.then((result) => refused.push(result));
    await until(
      () => Promise.resolve(refused.length === 5 && called.length === 1),
      PATIENCE_MS,
      () => `${called.length} called, ${refused.length} refused`,
    );
    for (const each of refused) expect(each).toMatchObject({ kind: 'deferred' });
    await Promise.all([isStill('open', one), isStill('open', other)]); // while the call is in flight
    called[0]!();
    expect(await Promise.all(calls)).toContain('sent');
    await Promise.all([isStill('closed', one), isStill('closed', other)]);
    expect(await tried(other, work)).toBe('sent');
  });

  it('opens again for all processes when that call fails', async () => {
    const { one, other, reports } = await startHalfOpen();
    expect(await tried(one, again)).toMatchObject({ code: 'SMTP_421' });
    expect(one.stateOf('smtp')).toBe('open');
    await isStill('open', other);
    expect(reports).toHaveLength(2);
    await isStill('half-open', other);
    expect(await tried(other, work)).toBe('sent');
    await isStill('closed', one);
  });

  it.each([
    ['refused for good', refuse, 'SMTP_550'],
    ['refused for now', defer, 'SMTP_450'],
  ])('closes when that call is %s, because the provider has answered', async (_, act, code) => {
    const { one, other } = await startHalfOpen();
    expect(await tried(one, act)).toMatchObject({ code });
    await Promise.all([isStill('closed', one), isStill('closed', other)]);
  });

  it('admits another call when that one is interrupted', async () => {
    const { one, other } = await startHalfOpen();
    const control = new AbortController();
    const trying = tried(one, hang, control.signal);
    await Promise.all([isStill('open', one), isStill('open', other)]);
    control.abort(new Error('job ended'));
    expect(await trying).toMatchObject({ message: 'job ended' });
    await isStill('half-open', other);
    expect(await tried(other, work)).toBe('sent');
  });

  it('lets other domains go before the one at which the last call failed', async () => {
    const pair = [start({ openMs: BRIEFLY_MS }).breakers, start({ openMs: BRIEFLY_MS }).breakers] as const;
    const tries: string[] = [];
    const to = (domain: string, act = work) =>
      pair[0].call('smtp', never, () => (tries.push(domain), act()), domain).catch((error: unknown) => error);
    for (let left = 10; left > 0; left--) await to('bad.example', again);
    await Promise.all(pair.map((each) => isStill('half-open', each)));
    expect(pair.map((each) => each.failedDomainOf('smtp'))).toEqual(['bad.example', 'bad.example']);
    const both = await Promise.all([to('bad.example'), to('good.example')]);
    expect(both).toEqual(['sent', 'sent']);
    expect(tries.slice(-2)).toEqual(['good.example', 'bad.example']);
    await Promise.all(pair.map((each) => isStill('closed', each)));
    expect(pair.map((each) => each.failedDomainOf('smtp'))).toEqual([undefined, undefined]);
  });

  it('lets another domain go first, also when a runner of another group has that mail', async () => {
    const tries: string[] = [];
    const groups = ['bad.example', 'good.example'].map((domain) => {
      const { breakers } = start({ openMs: BRIEFLY_MS });
      return { breakers, runner: startGroup(breakers, domain, tries) };
    });
    const [one, other] = groups.map(({ breakers }) => breakers) as [Breakers, Breakers];
    for (let left = 10; left > 0; left--)
      await one.call('smtp', never, again, 'bad.example').catch((error: unknown) => error);
    await isStill('open', other);
    await isStill('half-open', one);
    groups[0]!.runner.wake(); // at once, whereas the other runner has to poll
    await until(
      () => Promise.resolve(tries.length > 0),
      PATIENCE_MS,
      () => 'nothing is tried',
    );
    await Promise.all(groups.map(({ runner }) => runner.stop()));
    expect(tries[0]).toBe('good.example');
  });

  it('admits the failed domain when there is no other, and remembers where that call failed', async () => {
    const { breakers } = start({ openMs: BRIEFLY_MS });
    const to = (domain: string, act: () => Promise<unknown>) =>
      breakers.call('smtp', never, act, domain).catch((error: unknown) => error);
    for (let left = 10; left > 0; left--) await to('bad.example', again);
    await isStill('half-open', breakers);
    expect(await to('other.example', again)).toMatchObject({ code: 'SMTP_421' });
    expect(breakers.failedDomainOf('smtp')).toBe('other.example');
    await isStill('half-open', breakers);
    expect(await to('other.example', work)).toBe('sent');
  });

  it('ignores calls that the caller has interrupted', async () => {
    const { breakers } = start();
    const gone = AbortSignal.abort(new Error('job ended'));
    for (let left = 20; left > 0; left--) await tried(breakers, hangOrThrow, gone);
    expect(breakers.stateOf('smtp')).toBe('closed');
  });
});

async function hangOrThrow(signal: AbortSignal): Promise<never> {
  signal.throwIfAborted();
  return hang(signal);
}

describe('while the database is away', () => {
  /** The tables, and a switch that breaks them. */
  function unsteady() {
    const line = { broken: false };
    const database: Database = {
      ...tables,
      query: (query) => (line.broken ? Promise.reject(new Error('no database')) : tables.query(query)),
    };
    return { line, database };
  }

  it('calls go through, and open the breaker in this process for a moment', async () => {
    const { line, database } = unsteady();
    const { breakers } = start({ database });
    line.broken = true;
    expect(await tried(breakers, work)).toBe('sent');
    for (let left = 9; left > 0; left--) expect(await tried(breakers, again)).toMatchObject({ code: 'SMTP_421' });
    expect(breakers.stateOf('smtp')).toBe('open');
    line.broken = false;
    await isStill('closed', breakers); // because it was opened in this process only
    expect(await tried(breakers, work)).toBe('sent');
  });

  it('a half-open breaker refuses calls with a deferred failure', async () => {
    const { line, database } = unsteady();
    const { breakers } = start({ database, openMs: BRIEFLY_MS });
    await times(10, breakers, again);
    await isStill('half-open', breakers);
    line.broken = true;
    expect(await tried(breakers, work)).toMatchObject({ kind: 'deferred' });
    line.broken = false;
    await isStill('half-open', breakers);
    expect(await tried(breakers, work)).toBe('sent');
  });

  it('a successful call does not fail when the breaker cannot be closed', async () => {
    const { line, database } = unsteady();
    const { breakers } = start({ database, openMs: BRIEFLY_MS });
    await times(10, breakers, again);
    await isStill('half-open', breakers);
    const sent = await tried(breakers, () => {
      line.broken = true;
      return work();
    });
    expect(sent).toBe('sent');
  });
});
