import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { queuedJob } from '../../test/support/jobs.ts';
import { createDatabase, namespace, type TestDatabase } from '../../test/support/servers/index.ts';
import { until } from '../../test/support/servers/waiting.ts';
import { migrate } from '../postgres/migrate.ts';
import { type Database, openDatabase } from '../postgres/pool.ts';
import { ProviderError } from '../providers/failure.ts';
import { type Breakers, type BreakerState, createBreakers, type Opening } from './breakers.ts';
import { JobFailure } from './job-type.ts';
import type { Leases } from './leases.ts';
import { type Runner, startRunner } from './runner.ts';

/** So that a test sees it over, or does not. */
const [BRIEFLY_MS, LONG_MS] = [1_500, 60_000];
/** Nobody can believe anything older by then, however slow the machine. */
const PATIENCE_MS = 15_000;

let server: TestDatabase;
let tables: Database;
const running: Breakers[] = [];

beforeAll(async () => {
  server = await createDatabase();
  const name = namespace();
  await migrate({ connection: server.connection, namespace: name });
  tables = openDatabase(server.connection, { name: 'breakers', max: 6, searchPath: [name, 'public'] });
});
beforeEach(() => tables.query({ text: 'TRUNCATE breakers' }));
afterEach(async () => {
  await Promise.all(running.splice(0).map((each) => each.stop()));
});
afterAll(async () => {
  await tables.stop();
  await server.drop();
});

interface Given {
  readonly openMs: number;
  readonly database: Database;
  readonly opening: Opening;
}

const OPENING: Opening = { window: 20, minCalls: 10, share: 0.5 };

/** What one process has. */
function start({ openMs = LONG_MS, database = tables, opening = OPENING }: Partial<Given> = {}) {
  const reports: string[] = [];
  const report = (message: string) => reports.push(message);
  const breakers = createBreakers({ tables: database, openMs, opening, report });
  running.push(breakers);
  return { breakers, reports };
}

const never = new AbortController().signal;
const again = () => Promise.reject(new ProviderError('again', 'SMTP_421', 'come back later'));
const refuse = () => Promise.reject(new ProviderError('never', 'SMTP_550', 'no such user'));
const defer = () => Promise.reject(new ProviderError('later', 'SMTP_450', 'greylisted'));
const work = () => Promise.resolve('sent');

/** What a call came to: its result or its error. */
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

describe('it opens', () => {
  it('at ten calls of which half fail, and not before', async () => {
    const { breakers, reports } = start();
    await times(4, breakers, work);
    await times(5, breakers, again);
    expect(breakers.stateOf('smtp')).toBe('closed');
    await times(1, breakers, again);
    expect(breakers.stateOf('smtp')).toBe('open');
    expect(reports).toEqual([expect.stringContaining('smtp keeps failing')]);
  });

  it('within ten failures, however well it went before', async () => {
    const { breakers } = start();
    await times(100, breakers, work);
    await times(9, breakers, again);
    expect(breakers.stateOf('smtp')).toBe('closed');
    await times(1, breakers, again);
    expect(breakers.stateOf('smtp')).toBe('open');
  });

  it('not for less than half, nor with a success', async () => {
    const { breakers } = start();
    for (let round = 0; round < 20; round++) {
      await times(2, breakers, work);
      await times(1, breakers, again);
    }
    expect(breakers.stateOf('smtp')).toBe('closed');
  });

  it('not for what was asked wrongly: that says nothing, neither good nor bad', async () => {
    const { breakers } = start();
    await times(50, breakers, refuse);
    expect(breakers.stateOf('smtp')).toBe('closed');
    for (let round = 0; round < 10; round++) {
      await times(3, breakers, refuse);
      await times(1, breakers, again);
    }
    expect(breakers.stateOf('smtp')).toBe('open');
  });

  it('not for recipients that are refused for now', async () => {
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
    [
      'not for what was longer ago than it looks',
      { window: 2, minCalls: 2, share: 1 },
      ['fails', 'works', 'fails', 'fails'],
    ],
  ])('%s, where that is wanted', async (_, opening, calls) => {
    const { breakers } = start({ opening });
    for (const [index, call] of calls.entries()) {
      expect([index, breakers.stateOf('smtp')]).toEqual([index, 'closed']);
      await tried(breakers, call === 'works' ? work : again);
    }
    expect(breakers.stateOf('smtp')).toBe('open');
  });

  it('for each provider by itself', async () => {
    const { breakers } = start();
    await times(10, breakers, again);
    expect(await breakers.call('disk', never, work)).toBe('sent');
    expect(breakers.stateOf('disk')).toBe('closed');
  });

  it('for whatever else is thrown', async () => {
    const { breakers } = start();
    await times(10, breakers, () => Promise.reject(new TypeError('a fault')));
    expect(breakers.stateOf('smtp')).toBe('open');
  });
});

describe('while it is open', () => {
  it('nobody is called, and whoever asks is to come back later: it was no attempt', async () => {
    const { breakers } = start();
    await times(10, breakers, again);
    let called = 0;
    const refused = await tried(breakers, () => Promise.resolve((called += 1)));
    expect(refused).toBeInstanceOf(JobFailure);
    expect(refused).toMatchObject({ kind: 'later', code: 'PROVIDER_LEFT_ALONE' });
    const { pauseMs } = refused as JobFailure;
    expect(pauseMs).toBeGreaterThan(30_000);
    expect(pauseMs).toBeLessThan(61_000);
    expect(called).toBe(0);
  });

  it('what was under way when it opened ends at once, and was no attempt', async () => {
    const { breakers } = start();
    const hanging = [0, 1, 2].map(() => tried(breakers, hang));
    await times(10, breakers, again);
    for (const ended of await Promise.all(hanging)) expect(ended).toMatchObject({ kind: 'later' });
  });

  it('the others know, and end what is under way with them', async () => {
    const [one, other] = [start().breakers, start().breakers];
    await isStill('closed', other);
    const hanging = tried(other, hang);
    await times(10, one, again);
    expect(await hanging).toMatchObject({ kind: 'later' });
    expect(other.stateOf('smtp')).toBe('open');
    expect(await tried(start().breakers, hang)).toMatchObject({ kind: 'later' }); // one that starts
  });

  it('a result that came nevertheless counts', async () => {
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

/** Two processes that both know that one may try. */
async function startOnTrial() {
  const pair = [start({ openMs: BRIEFLY_MS }), start({ openMs: BRIEFLY_MS })] as const;
  const [one, other] = [pair[0].breakers, pair[1].breakers];
  await times(10, one, again);
  await Promise.all([isStill('trial', one), isStill('trial', other)]);
  return { one, other, reports: pair[0].reports };
}

/** Works on one job of its lane, a mail to that domain, once one call may be made, and says what it tries. */
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
      return lane.state === 'trial' ? [lane] : [];
    },
    async handle({ version }, signal) {
      const act = () => Promise.resolve(tries.push(domain));
      await breakers.call('smtp', signal, act, domain).catch(() => undefined);
      return version + 1;
    },
  });
}

describe('after its time', () => {
  it('one call of all processes finds out', async () => {
    const { one, other } = await startOnTrial();
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
    for (const each of refused) expect(each).toMatchObject({ kind: 'later' });
    await Promise.all([isStill('open', one), isStill('open', other)]); // while it is being tried
    called[0]!();
    expect(await Promise.all(calls)).toContain('sent');
    await Promise.all([isStill('closed', one), isStill('closed', other)]);
    expect(await tried(other, work)).toBe('sent');
  });

  it('what fails then opens it again, for all', async () => {
    const { one, other, reports } = await startOnTrial();
    expect(await tried(one, again)).toMatchObject({ code: 'SMTP_421' });
    expect(one.stateOf('smtp')).toBe('open');
    await isStill('open', other);
    expect(reports).toHaveLength(2);
    await isStill('trial', other);
    expect(await tried(other, work)).toBe('sent');
    await isStill('closed', one);
  });

  it.each([
    ['refused for what it asked', refuse, 'SMTP_550'],
    ['refused for now', defer, 'SMTP_450'],
  ])('one that is %s was answered: it closes', async (_, act, code) => {
    const { one, other } = await startOnTrial();
    expect(await tried(one, act)).toMatchObject({ code });
    await Promise.all([isStill('closed', one), isStill('closed', other)]);
  });

  it('one that is broken off leaves it to others', async () => {
    const { one, other } = await startOnTrial();
    const control = new AbortController();
    const trying = tried(one, hang, control.signal);
    await Promise.all([isStill('open', one), isStill('open', other)]);
    control.abort(new Error('job ended'));
    expect(await trying).toMatchObject({ message: 'job ended' });
    await isStill('trial', other);
    expect(await tried(other, work)).toBe('sent');
  });

  it('what goes to the domain at which the last call failed lets others go first', async () => {
    const pair = [start({ openMs: BRIEFLY_MS }).breakers, start({ openMs: BRIEFLY_MS }).breakers] as const;
    const tries: string[] = [];
    const to = (domain: string, act = work) =>
      pair[0].call('smtp', never, () => (tries.push(domain), act()), domain).catch((error: unknown) => error);
    for (let left = 10; left > 0; left--) await to('bad.example', again);
    await Promise.all(pair.map((each) => isStill('trial', each)));
    expect(pair.map((each) => each.failedDomainOf('smtp'))).toEqual(['bad.example', 'bad.example']);
    const both = await Promise.all([to('bad.example'), to('good.example')]);
    expect(both).toEqual(['sent', 'sent']);
    expect(tries.slice(-2)).toEqual(['good.example', 'bad.example']);
    await Promise.all(pair.map((each) => isStill('closed', each)));
    expect(pair.map((each) => each.failedDomainOf('smtp'))).toEqual([undefined, undefined]);
  });

  it('what goes elsewhere goes first, though a runner of another group has it', async () => {
    const tries: string[] = [];
    const groups = ['bad.example', 'good.example'].map((domain) => {
      const { breakers } = start({ openMs: BRIEFLY_MS });
      return { breakers, runner: startGroup(breakers, domain, tries) };
    });
    const [one, other] = groups.map(({ breakers }) => breakers) as [Breakers, Breakers];
    for (let left = 10; left > 0; left--)
      await one.call('smtp', never, again, 'bad.example').catch((error: unknown) => error);
    await isStill('open', other);
    await isStill('trial', one);
    groups[0]!.runner.wake(); // at once, whereas the other one has to look
    await until(
      () => Promise.resolve(tries.length > 0),
      PATIENCE_MS,
      () => 'nothing is tried',
    );
    await Promise.all(groups.map(({ runner }) => runner.stop()));
    expect(tries[0]).toBe('good.example');
  });

  it('what goes there is tried nevertheless when there is nothing else, and names it again when it fails', async () => {
    const { breakers } = start({ openMs: BRIEFLY_MS });
    const to = (domain: string, act: () => Promise<unknown>) =>
      breakers.call('smtp', never, act, domain).catch((error: unknown) => error);
    for (let left = 10; left > 0; left--) await to('bad.example', again);
    await isStill('trial', breakers);
    expect(await to('other.example', again)).toMatchObject({ code: 'SMTP_421' });
    expect(breakers.failedDomainOf('smtp')).toBe('other.example');
    await isStill('trial', breakers);
    expect(await to('other.example', work)).toBe('sent');
  });

  it('what was broken off by somebody says nothing of the provider', async () => {
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
  /** The tables, and a switch. */
  function unsteady() {
    const line = { broken: false };
    const database: Database = {
      ...tables,
      query: (query) => (line.broken ? Promise.reject(new Error('no database')) : tables.query(query)),
    };
    return { line, database };
  }

  it('calls are made, give what they give, and open it here for a moment', async () => {
    const { line, database } = unsteady();
    const { breakers } = start({ database });
    line.broken = true;
    expect(await tried(breakers, work)).toBe('sent');
    for (let left = 9; left > 0; left--) expect(await tried(breakers, again)).toMatchObject({ code: 'SMTP_421' });
    expect(breakers.stateOf('smtp')).toBe('open');
    line.broken = false;
    await isStill('closed', breakers); // nobody else has heard of it
    expect(await tried(breakers, work)).toBe('sent');
  });

  it('nobody tries, and that is no attempt', async () => {
    const { line, database } = unsteady();
    const { breakers } = start({ database, openMs: BRIEFLY_MS });
    await times(10, breakers, again);
    await isStill('trial', breakers);
    line.broken = true;
    expect(await tried(breakers, work)).toMatchObject({ kind: 'later' });
    line.broken = false;
    await isStill('trial', breakers);
    expect(await tried(breakers, work)).toBe('sent');
  });

  it('what was done is not said to have failed', async () => {
    const { line, database } = unsteady();
    const { breakers } = start({ database, openMs: BRIEFLY_MS });
    await times(10, breakers, again);
    await isStill('trial', breakers);
    const sent = await tried(breakers, () => {
      line.broken = true;
      return work();
    });
    expect(sent).toBe('sent');
  });
});
