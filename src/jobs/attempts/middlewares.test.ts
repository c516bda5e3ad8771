import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import fc from 'fast-check';
import pg from 'pg';
import { pino } from 'pino';
import { Registry } from 'prom-client';
import { queuedJob } from '../../../test/support/jobs.ts';
import type { JobCommand } from '../../commands/job.ts';
import { AppError, unavailable } from '../../errors.ts';
import { createPlacement } from '../../events/placement.ts';
import { markAndRethrow } from '../guarded-files.ts';
import { JobFailure, type JobType } from '../job-type.ts';
import type { Pauses } from '../backoff.ts';
import type { QueuedJob } from '../leases.ts';
import type { NoteRefusal, RefusedMail } from '../refusals.ts';
import { type Append, AppendError, type EventLog } from '../../log/event-log.ts';
import { openDatabase } from '../../postgres/pool.ts';
import { ProviderError } from '../../providers/failure.ts';
import { type Attempt, chain, type Ending, type Handle } from './attempt.ts';
import { deadLettered, logged, recorded, retried, timed } from './middlewares.ts';

const PAUSES: Pauses = { firstMs: 1_000, maxMs: 60_000 };
const NOW = Date.UTC(2026, 0, 1);
const TIMEOUT_MS = 600_000;

beforeEach(() => void jest.useFakeTimers({ now: NOW }));
afterEach(() => {
  expect(jest.getTimerCount()).toBe(0);
  jest.useRealTimers();
});

/** Throws any value, because not all code throws errors. */
const rejected = (thrown: unknown): Promise<never> =>
  Promise.resolve().then(() => {
    throw thrown;
  });

interface Options {
  readonly job?: Partial<QueuedJob>;
  /** The pause after a refused recipient. */
  readonly noteRefusal?: NoteRefusal;
  readonly pauses?: Pauses;
  /** Replaces the append. */
  readonly refuse?: (command: JobCommand) => unknown;
  readonly burying?: () => Promise<void>;
}

/** The pipeline of exporters and workers, with what it recorded. */
function around(
  work: Handle,
  { job: given, noteRefusal = () => Promise.resolve(undefined), pauses = PAUSES, refuse, burying }: Options = {},
) {
  const told: (JobCommand | 'dead letter')[] = [];
  const letters: Append[] = [];
  const lines: Record<string, unknown>[] = [];
  const control = new AbortController();
  const job = queuedJob(given);
  const log: Pick<EventLog, 'append'> = {
    async append(batch) {
      await burying?.();
      told.push('dead letter');
      letters.push(...batch);
    },
  };
  const attempt: Attempt = {
    job,
    type: {} as JobType,
    number: job.attempt + 1,
    signal: control.signal,
    events: {
      version: job.version,
      append(command) {
        const refusal = refuse?.(command);
        if (refusal !== undefined) return rejected(refusal);
        told.push(command);
        return Promise.resolve();
      },
    },
  };
  const logger = pino({ level: 'debug' }, { write: (line: string) => lines.push(JSON.parse(line) as object as never) });
  const registry = new Registry();
  const middlewares = [
    ...[logged(logger, registry), recorded('w'), deadLettered(log as EventLog, createPlacement('music', 6))],
    ...[retried(pauses, noteRefusal), timed(TIMEOUT_MS)],
  ];
  return { told, letters, lines, control, job, registry, run: () => chain(middlewares, work)(attempt) };
}

const throwing =
  (error: unknown): Handle =>
  () =>
    rejected(error);
const typesOf = (told: readonly (JobCommand | 'dead letter')[]) =>
  told.map((each) => (typeof each === 'string' ? each : each.type));

const databaseError = (code: string) => Object.assign(new pg.DatabaseError('x', 1, 'error'), { code });

/** An error as a store of files throws it. */
function storeFailure(): unknown {
  try {
    return markAndRethrow(Object.assign(new Error('no space left'), { code: 'ENOSPC' }));
  } catch (error) {
    return error;
  }
}

describe('a completed attempt is recorded', () => {
  it('with its file, named after the job', async () => {
    const file = { stored: 'exports/a.json', name: 'a.json', kind: 'export', mediaType: 'application/json', size: 2 };
    const { run, told, job } = around(() => Promise.resolve({ kind: 'completed', outcome: { file } }));
    expect(await run()).toMatchObject({ kind: 'completed' });
    const fileId = job.jobId.replace('job-', 'file-');
    expect(told).toEqual([
      { type: 'StartAttempt', worker: 'w' },
      { type: 'Complete', attempt: 1, done: 1, total: 1, failed: 0, result: '{}', file: { ...file, fileId } },
    ]);
  });

  it.each([
    [{}, 4, { done: 4, total: 4, failed: 0 }],
    [{ failed: 1 }, 4, { done: 3, total: 4, failed: 1 }],
    [{ total: 9, failed: 2 }, 4, { done: 7, total: 9, failed: 2 }],
    [{ total: 9, done: 1, failed: 2 }, 4, { done: 1, total: 9, failed: 2 }],
  ])('with its counts: %j', async (outcome, total, said) => {
    const { run, told } = around(() => Promise.resolve({ kind: 'completed', outcome }), { job: { total } });
    await run();
    expect(told[1]).toMatchObject(said);
  });

  it('after its start, and no work begins before that', async () => {
    const order: string[] = [];
    const { run } = around(() => (order.push('work'), Promise.resolve({ kind: 'completed', outcome: {} })), {
      refuse: ({ type }) => void order.push(type),
    });
    await run();
    expect(order).toEqual(['StartAttempt', 'work', 'Complete']);
  });
});

describe('an error becomes', () => {
  it.each<[string, unknown, string]>([
    ['another attempt, for a retryable failure', new JobFailure('retryable', 'DUMMY', 'x'), 'DUMMY'],
    ['another attempt, for a retryable provider error', new ProviderError('retryable', 'SMTP_421', 'x'), 'SMTP_421'],
    ['another attempt, for an unknown error', new TypeError('x'), 'FAILED'],
    ['another attempt, for a refusal of ours', new AppError('rejected', 'X', 'x'), 'FAILED'],
    ['another attempt, for a value that is no error', 'x', 'FAILED'],
    ['another attempt, for a query that takes too long', databaseError('57014'), 'FAILED'],
    ['another attempt, for what waits for an operator', unavailable('STREAM_QUARANTINED', 'x'), 'FAILED'],
  ])('%s', async (_, error, code) => {
    const { run, told } = around(throwing(error));
    expect(await run()).toMatchObject({ kind: 'failed', counts: true, code });
    expect(told).toMatchObject([{ type: 'StartAttempt' }, { type: 'FailAttempt', attempt: 1, code, counts: true }]);
  });

  it.each<[string, unknown]>([
    ['a permanent failure', new JobFailure('permanent', 'HOPELESS', 'x')],
    ['a permanent provider error', new ProviderError('permanent', 'HOPELESS', 'x')],
  ])('the end after a dead letter, for %s', async (_, error) => {
    const { run, told, letters, job } = around(throwing(error));
    expect(await run()).toEqual({ kind: 'died', code: 'HOPELESS', error: 'x' });
    expect(typesOf(told)).toEqual(['StartAttempt', 'dead letter', 'GiveUp']);
    const [letter] = letters;
    expect(letter).toMatchObject({ topic: 'music.dead-letters', record: { key: job.jobId } });
    expect(JSON.parse(letter!.record.value.toString())).toEqual({
      jobId: job.jobId,
      jobType: 'dummy',
      ownerId: 'user-1',
      attempt: 1,
      code: 'HOPELESS',
      error: 'x',
      time: new Date(NOW).toISOString(),
    });
  });

  it('a pause that does not count, for a deferred failure', async () => {
    const { run, told } = around(throwing(new JobFailure('deferred', 'PROVIDER_LEFT_ALONE', 'x', { pauseMs: 7_000 })), {
      job: { counted: 2 },
    });
    expect(await run()).toMatchObject({ kind: 'failed', counts: false });
    const retryAt = new Date(NOW + 7_000).toISOString();
    expect(told[1]).toMatchObject({ type: 'FailAttempt', counts: false, retryAt, code: 'PROVIDER_LEFT_ALONE' });
  });

  it.each<[string, unknown, string]>([
    [
      'a database that has ended the connection',
      new Error('Connection terminated unexpectedly'),
      'DATABASE_UNAVAILABLE',
    ],
    ['a database that recovers from a crash', databaseError('57P03'), 'DATABASE_UNAVAILABLE'],
    ['an unavailable store of files', storeFailure(), 'FILES_UNAVAILABLE'],
    ['an outage of the log', unavailable('LOG_UNAVAILABLE', 'x'), 'LOG_UNAVAILABLE'],
  ])('a pause that does not count, for %s', async (_, error, code) => {
    const { run, told } = around(throwing(error), { job: { attempt: 2, counted: 2 } });
    expect(await run()).toMatchObject({ kind: 'failed', counts: false, code });
    expect(told[1]).toMatchObject({ counts: false });
  });

  it('an attempt that counts, for a query over its time limit, because it may take so long each time', async () => {
    const { run } = around(throwing(new Error('Query read timeout')));
    expect(await run()).toMatchObject({ kind: 'failed', counts: true, code: 'FAILED' });
  });

  it.each([
    [{ attempt: 0, counted: 0 }, 1_000],
    [{ attempt: 5, counted: 2 }, 8_000],
    [{ attempt: 40, counted: 0 }, 60_000],
  ])('a pause that grows with each attempt in an outage and has jitter: %j', async (job, most) => {
    for (const part of [0.5, 1]) {
      jest.spyOn(Math, 'random').mockReturnValue(part);
      const pauses: Pauses = { firstMs: 1_000, maxMs: 300_000 };
      const { run, told } = around(throwing(unavailable('LOG_UNAVAILABLE', 'x')), { job, pauses });
      await run();
      expect(told[1]).toMatchObject({ retryAt: new Date(NOW + part * most).toISOString() });
    }
    jest.restoreAllMocks();
  });

  it('a pause that does not count, when the pool gives no connection', async () => {
    const connection = { host: '127.0.0.1', port: 1, user: 'x', password: '', database: 'x' };
    const database = openDatabase(connection, { name: 'test', max: 1, searchPath: ['public'] });
    const refused: unknown = await database.query({ text: 'SELECT 1' }).catch((error: unknown) => error);
    await database.stop();
    const { run } = around(throwing(refused), { job: { counted: 2 } });
    expect(await run()).toMatchObject({ kind: 'failed', counts: false, code: 'DATABASE_UNAVAILABLE' });
    // The same message of another server is no outage of ours.
    const other = around(throwing(new Error('connect ECONNREFUSED 127.0.0.1:1')), { job: { counted: 2 } });
    expect(await other.run()).toMatchObject({ kind: 'died' });
  });

  it('the pause of an outage, for a deferred failure without a pause', async () => {
    jest.spyOn(Math, 'random').mockReturnValue(1);
    const { run, told } = around(throwing(new JobFailure('deferred', 'NOT_NOW', 'x')));
    await run();
    expect(told[1]).toMatchObject({ retryAt: new Date(NOW + PAUSES.firstMs).toISOString() });
    jest.restoreAllMocks();
  });
});

describe('attempts', () => {
  const again = throwing(new JobFailure('retryable', 'DUMMY', 'x'));
  it.each<[string, Partial<QueuedJob>, Ending['kind']]>([
    ['the first of three', { counted: 0 }, 'failed'],
    ['the second of three', { counted: 1, attempt: 1 }, 'failed'],
    ['the last one', { counted: 2, attempt: 2 }, 'died'],
    ['the last one that counts', { counted: 2, attempt: 40 }, 'died'],
    ['the one after a lost one', { counted: 0, attempt: 1, abandoned: true }, 'failed'],
    ['the last one after a lost one', { counted: 1, attempt: 2, abandoned: true }, 'died'],
  ])('%s', async (_, job, kind) => {
    expect(await around(again, { job: { allowed: 3, ...job } }).run()).toMatchObject({ kind });
  });

  it('are over when the last one was lost: no work begins, and there is a dead letter', async () => {
    const work = jest.fn(again);
    const job = { allowed: 3, counted: 2, attempt: 5, abandoned: true };
    const { run, told, letters } = around(work, { job });
    expect(await run()).toMatchObject({ kind: 'died', code: 'WORKER_LOST' });
    expect(work).not.toHaveBeenCalled();
    expect(told).toEqual(['dead letter', expect.objectContaining({ type: 'GiveUp', attempt: 5, code: 'WORKER_LOST' })]);
    expect(JSON.parse(letters[0]!.record.value.toString())).toMatchObject({ attempt: 5, code: 'WORKER_LOST' });
  });

  it.each([0, 0.5, 1])('come after a pause within its bounds (%d)', async (part) => {
    jest.spyOn(Math, 'random').mockReturnValue(part);
    const { run, told } = around(again, { job: { allowed: 9, counted: 3, attempt: 7 } });
    await run();
    expect(told[1]).toMatchObject({ retryAt: new Date(NOW + part * 8_000).toISOString() });
    jest.restoreAllMocks();
  });

  it.each([
    ['none', 0],
    ['fixed', 4_000],
  ])('of a job whose backoff is %s come after %d ms, however many have failed', async (strategy, ms) => {
    const backoff = { strategy, firstMs: 4_000, maxMs: 60_000 };
    for (const counted of [0, 6]) {
      const { run, told } = around(again, { job: { allowed: 9, counted, attempt: counted, backoff } });
      await run();
      expect(told[1]).toMatchObject({ retryAt: new Date(NOW + ms).toISOString() });
    }
  });

  it('keep the pauses with which the job was accepted', async () => {
    jest.spyOn(Math, 'random').mockReturnValue(1);
    const backoff = { strategy: 'exponential', firstMs: 10_000, maxMs: 15_000 };
    const { run, told } = around(again, { job: { allowed: 9, counted: 5, backoff } });
    await run();
    expect(told[1]).toMatchObject({ retryAt: new Date(NOW + 15_000).toISOString() });
    jest.restoreAllMocks();
  });
});

describe('a mail whose recipient is refused for now', () => {
  const greylisted = throwing(new ProviderError('deferred', 'MAIL_DEFERRED', '450 greylisted, ann@example.com'));

  it('is tried again at its time, which does not count', async () => {
    const noted: RefusedMail[] = [];
    const noteRefusal: NoteRefusal = (mail) => (noted.push(mail), Promise.resolve(300_000));
    const { run, told, job } = around(greylisted, { job: { allowed: 1 }, noteRefusal });
    expect(await run()).toMatchObject({ kind: 'failed', counts: false });
    expect(noted).toEqual([{ jobId: job.jobId }]);
    const retryAt = new Date(NOW + 300_000).toISOString();
    const error = '450 greylisted, (address)';
    expect(told[1]).toMatchObject({ type: 'FailAttempt', counts: false, code: 'MAIL_DEFERRED', error, retryAt });
  });

  it('is given up once that has lasted too long, in any attempt', async () => {
    const { run } = around(greylisted, { job: { allowed: 9 } });
    expect(await run()).toMatchObject({ kind: 'died', code: 'MAIL_DEFERRED' });
  });

  it('is tried again soon, which does not count, when the database is away', async () => {
    const noteRefusal = () => Promise.reject(new Error('Connection terminated unexpectedly'));
    const { run } = around(greylisted, { job: { allowed: 1 }, noteRefusal });
    expect(await run()).toMatchObject({ kind: 'failed', counts: false, code: 'DATABASE_UNAVAILABLE' });
  });
});

describe('an interrupted attempt', () => {
  const obedient: Handle = ({ signal }) =>
    new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error)));

  const angry: Handle = ({ signal }) =>
    new Promise((_, reject) => signal.addEventListener('abort', () => reject(new Error('cut'))));

  it.each(['lease lost', 'job ended'])('records nothing when the reason is “%s”', async (why) => {
    const { run, control, told } = around(obedient);
    const ending = run();
    await jest.advanceTimersByTimeAsync(0);
    control.abort(why);
    expect(await ending).toEqual({ kind: 'lost' });
    expect(typesOf(told)).toEqual(['StartAttempt']);
  });

  it('comes back at once and does not count when the process stops', async () => {
    const { run, control, told } = around(obedient, { job: { counted: 2 } });
    const ending = run();
    await jest.advanceTimersByTimeAsync(0);
    control.abort('process stops');
    expect(await ending).toMatchObject({ kind: 'failed', code: 'WORKER_STOPPED', counts: false });
    expect(told[1]).toMatchObject({ counts: false, retryAt: new Date(NOW).toISOString() });
  });

  it('comes back at once and does not count when the database is away', async () => {
    const { run, control, told } = around(obedient, { job: { counted: 2 } });
    const ending = run();
    await jest.advanceTimersByTimeAsync(0);
    control.abort('database away');
    expect(await ending).toMatchObject({ kind: 'failed', code: 'DATABASE_UNAVAILABLE', counts: false });
    expect(told[1]).toMatchObject({ counts: false, retryAt: new Date(NOW).toISOString() });
  });

  it('is completed when its work was done before', async () => {
    const { run, control, told } = around(() => {
      control.abort('process stops');
      return Promise.resolve({ kind: 'completed', outcome: {} });
    });
    expect(await run()).toMatchObject({ kind: 'completed' });
    expect(typesOf(told)).toEqual(['StartAttempt', 'Complete']);
  });

  it.each([
    ['and ends', obedient],
    ['and rejects with another error', angry],
    ['and ignores its signal', () => new Promise<never>(() => undefined)],
  ])('counts when it takes too long %s', async (_, work) => {
    const { run } = around(work);
    const ending = run();
    await jest.advanceTimersByTimeAsync(TIMEOUT_MS);
    expect(await ending).toMatchObject({ kind: 'failed', code: 'TOO_SLOW', counts: true });
  });
});

describe('a refused record', () => {
  const done: Handle = () => Promise.resolve({ kind: 'completed', outcome: {} });
  const stale = new AppError('stale', 'PRECONDITION_FAILED', 'It was changed since.');

  it('of the start means that another worker has the job: no work begins', async () => {
    const work = jest.fn(done);
    expect(await around(work, { refuse: () => stale }).run()).toEqual({ kind: 'lost' });
    expect(work).not.toHaveBeenCalled();
  });

  it('of the end means that another worker has the job by now', async () => {
    const { run, told } = around(done, { refuse: ({ type }) => (type === 'Complete' ? stale : undefined) });
    expect(await run()).toEqual({ kind: 'lost' });
    expect(typesOf(told)).toEqual(['StartAttempt']);
  });

  it('of a dead letter is written again before the end of the job is recorded', async () => {
    const refusals = [new AppendError('unknown', 'who knows'), new AppendError('refused', 'not now')];
    const burying = () => {
      const refusal = refusals.shift();
      return refusal ? Promise.reject(refusal) : Promise.resolve();
    };
    const { run, told } = around(throwing(new JobFailure('permanent', 'X', 'x')), { burying });
    expect(await run()).toMatchObject({ kind: 'died', code: 'X' });
    expect(typesOf(told)).toEqual(['StartAttempt', 'dead letter', 'GiveUp']);
  });

  it('of a dead letter while the process stops does not end the job', async () => {
    const error = new AppendError('unknown', 'who knows');
    const { run, control, told } = around(throwing(new JobFailure('permanent', 'X', 'x')), {
      burying: () => (control.abort('process stops'), Promise.reject(error)),
    });
    await expect(run()).rejects.toBe(error);
    expect(typesOf(told)).toEqual(['StartAttempt']);
  });

  it('because of a fault of ours is thrown', async () => {
    const fault = new TypeError('a fault');
    await expect(around(done, { refuse: () => fault }).run()).rejects.toBe(fault);
    expect(await around(done, { refuse: () => unavailable('X', 'x') }).run()).toEqual({ kind: 'lost' });
  });
});

describe('no address goes to the log', () => {
  const errorOf = async (message: string) => {
    const { run } = around(throwing(new ProviderError('retryable', 'SMTP_450', message)));
    return ((await run()) as { error: string }).error;
  };

  it.each([
    ['450 4.2.1 <ann@example.com> mailbox busy', '450 4.2.1 <(address)> mailbox busy'],
    ['ann@example.com,bob@example.com: no', '(address),(address): no'],
    ['no "ann lee"@example.com here', 'no (address) here'],
    ['no ann@[10.0.0.1] here', 'no (address) here'],
    ['no änn@exämple.com here', 'no (address) here'],
    ['nothing of that', 'nothing of that'],
  ])('%s', async (message, said) => expect(await errorOf(message)).toBe(said));

  it('for any message', async () => {
    const piece = fc.oneof(
      fc.string(),
      fc.constantFrom('@', '"', ' ', '<', '>', ',', ':', 'a@b', '"a b"@c', '\n'),
      fc.emailAddress(),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(piece, { maxLength: 40 }), async (pieces) => {
        const error = await errorOf(pieces.join(''));
        expect(error).not.toContain('@');
        expect(error.length).toBeLessThanOrEqual(500);
      }),
    );
  });

  it('for a very long message', async () => {
    const began = process.hrtime.bigint();
    expect(await errorOf('x'.repeat(1_000_000))).toHaveLength(500);
    expect(await errorOf('@'.repeat(1_000_000))).not.toContain('@');
    expect(Number(process.hrtime.bigint() - began) / 1e6).toBeLessThan(15_000); // quadratic would take hours
  });
});

it('every ending is counted and logged, a lost one at debug level', async () => {
  const levels = { died: 50, failed: 40, completed: 20, lost: 20 };
  const endings: [keyof typeof levels, Handle][] = [
    ['died', throwing(new JobFailure('permanent', 'X', 'x'))],
    ['failed', throwing(new JobFailure('retryable', 'X', 'x'))],
    ['completed', () => Promise.resolve({ kind: 'completed', outcome: {} })],
    ['lost', () => Promise.resolve({ kind: 'lost' })],
  ];
  for (const [kind, work] of endings) {
    const { run, lines, job, registry } = around(work);
    await run();
    expect(lines).toMatchObject([{ level: levels[kind], job: job.jobId, attempt: 1 }]);
    expect(await registry.metrics()).toContain(`openmusic_job_attempts_total{type="dummy",ending="${kind}"} 1`);
  }
});
