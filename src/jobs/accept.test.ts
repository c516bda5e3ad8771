import { afterAll, beforeAll, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { z } from 'zod';
import { type MigratedTables, migratedTables } from '../../test/support/tables.ts';
import { originOf } from '../../test/support/core.ts';
import { type CommandRequest, prepareOnce } from '../commands/command.ts';
import type { JobCommand, JobContext } from '../commands/job.ts';
import { idFromCommand } from '../events/ids.ts';
import type { JobRequest } from '../events/jobs.ts';
import type { Database } from '../postgres/pool.ts';
import { jobs } from '../projections/jobs.ts';
import { createAccept } from './accept.ts';
import { createQuota } from './quota.ts';
import { createStoredFiles } from './stored-files.ts';
import type { JobPlan, JobType } from './job-type.ts';

const NOW = Date.UTC(2026, 0, 1, 12);
const UNFINISHED = 3;
const STORED = 1_000;
const REPEATS = 2;
const RATE = 50;

let tables: Database;
let drop: MigratedTables['drop'];

beforeAll(async () => {
  ({ tables, drop } = await migratedTables());
  await tables.use((client) => client.query(jobs.ddl));
});
beforeEach(() => tables.query({ text: 'TRUNCATE jobs_under_way' }));
afterAll(() => drop());

const typeOf = (plan: JobPlan, access: JobType['access'] = 'users'): JobType => ({
  name: 'dummy',
  access,
  payload: z.unknown(),
  backoff: 'none',
  plan: () => plan,
  work: () => Promise.resolve({}),
});

/** An `accept`, and the requests that it recorded. */
function start(broken?: Error, unfinished = UNFINISHED, accepted?: (jobId: string) => Promise<unknown>) {
  const asked: string[] = [];
  const requests: JobRequest[] = [];
  const commands = {
    async job({ stream, command }: CommandRequest<JobCommand, JobContext | undefined>) {
      const prepared = await prepareOnce(command)();
      if (prepared.type === 'RequestJob') requests.push(prepared.request);
      await accepted?.(stream);
      return { recordId: 'r', version: 1, replayed: false };
    },
  };
  const query: Database['query'] = (asked) => (broken ? Promise.reject(broken) : tables.query(asked));
  const database: Database = {
    ...tables,
    query: (one) => (asked.push(one.name ?? ''), tables.query(one)),
    use: (work) => (asked.push('use'), tables.use(work)),
  };
  const accept = createAccept({
    commands,
    tables: { ...tables, query },
    database,
    catalogTopic: 'music.catalog',
    files: {} as never,
    mail: { enabled: ['file'], default: 'file' },
    attempts: 4,
    pauses: { firstMs: 1_000, maxMs: 60_000 },
    now: () => NOW,
    mustHaveRoom: createQuota({ database, unfinished, rate: { count: RATE, seconds: 60 }, repeats: REPEATS }),
    repeats: { seconds: 900 },
    stored: createStoredFiles(tables, STORED),
    dummySeconds: 30,
  });
  return { accept, requests, asked };
}

const rows = (text: string, id: string) => tables.query<Record<string, unknown>>({ text, values: [id] });
const payloadOf = (id: string) => rows('SELECT payload FROM job_payloads WHERE id = $1', id);
const itemsOf = ({ payloadId }: JobRequest) =>
  rows('SELECT item, payload FROM job_items WHERE payload_id = $1 ORDER BY item', payloadId!);
const origin = () => originOf({ actor: 'user-1' });

describe('an accepted job', () => {
  it('derives its id from the command, and records nothing personal', async () => {
    const { accept, requests } = start();
    const about = origin();
    const plan = { parameters: { a: 1 }, payload: { to: 'ann@example.com' }, provider: 'file' };
    const { jobId } = await accept({ type: typeOf(plan), payload: {} }, about, false);
    expect(jobId).toBe(idFromCommand('job', about.commandId));
    expect(requests).toEqual([
      {
        jobType: 'dummy',
        ownerId: 'user-1',
        parameters: '{"a":1}',
        attempts: 4,
        total: 1,
        payloadId: expect.stringMatching(new RegExp(`^${jobId}\\.`)),
        backoff: { strategy: 'none', firstMs: 1_000, maxMs: 60_000 },
        priority: 0,
        provider: 'file',
        runAt: null,
        repeat: null,
        parentId: null,
        replaces: null,
      },
    ]);
    expect(await payloadOf(requests[0]!.payloadId!)).toMatchObject([{ payload: { to: 'ann@example.com' } }]);
  });

  it('stores the items of all jobs that come at the same time', async () => {
    const { accept, requests } = start();
    const items = Array.from({ length: 300 }, (_, n) => ({ n }));
    const type = typeOf({ parameters: {}, items });
    await Promise.all([0, 1, 2].map(() => accept({ type, payload: {} }, origin(), false)));
    expect(requests).toMatchObject([{ total: 300 }, { total: 300 }, { total: 300 }]);
    for (const request of requests) {
      expect(await itemsOf(request)).toEqual(items.map((payload, item) => ({ item, payload })));
    }
  });

  it('keeps its own payload, apart from that of another body under the same key', async () => {
    const { accept, requests } = start();
    const about = origin();
    for (const a of [1, 2]) {
      const type = typeOf({ parameters: {}, payload: { a } });
      await accept({ type, payload: {} }, { ...about, bodyHash: `of ${a}` }, false);
    }
    const [first, second] = await Promise.all(requests.map(({ payloadId }) => payloadOf(payloadId!)));
    expect([first, second]).toEqual([[{ payload: { a: 1 } }], [{ payload: { a: 2 } }]]);
  });

  it('keeps its own items, apart from those of another body under the same key', async () => {
    const { accept, requests } = start();
    const about = origin();
    for (const items of [[{ b: 1 }, { b: 2 }], [{ b: 3 }]]) {
      const type = typeOf({ parameters: {}, items });
      await accept({ type, payload: {} }, { ...about, bodyHash: `of ${items.length}` }, false);
    }
    const [first, second] = await Promise.all(requests.map(itemsOf));
    expect([first?.length, second]).toEqual([2, [{ item: 0, payload: { b: 3 } }]]);
  });

  it('records the first time of its repeat, in its time zone', async () => {
    const { accept, requests } = start();
    const repeat = { cron: '0 9 * * *', timeZone: 'Asia/Jakarta' };
    await accept({ type: typeOf({ parameters: {} }), payload: {}, repeat }, origin(), false);
    expect(requests).toMatchObject([{ repeat: { ...repeat, first: '2026-01-02T02:00:00.000Z' } }]);
  });

  it('takes attempts, backoff and priority from its request', async () => {
    const { accept, requests } = start();
    const submission = { type: typeOf({ parameters: {} }), payload: {} };
    await accept({ ...submission, handling: { attempts: 9, backoff: 'fixed', priority: -3 } }, origin(), false);
    await accept({ ...submission, handling: { priority: 7 } }, origin(), false);
    const pauses = { firstMs: 1_000, maxMs: 60_000 };
    expect(requests).toMatchObject([
      { attempts: 9, backoff: { strategy: 'fixed', ...pauses }, priority: -3 },
      { attempts: 4, backoff: { strategy: 'none', ...pauses }, priority: 7 },
    ]);
  });

  it('may wait for a time, belong to another owner, and replace another job', async () => {
    const { accept, requests } = start();
    const submission = { type: typeOf({ parameters: {} }), payload: {}, replaces: 'job-0', ownerId: 'user-2' };
    await accept({ ...submission, runAt: new Date(NOW + 1) }, origin(), false);
    expect(requests).toMatchObject([{ replaces: 'job-0', ownerId: 'user-2', runAt: new Date(NOW + 1).toISOString() }]);
  });
});

it.each([
  ['a sender does not lend', { ownerId: 'user-2' }, false],
  ['an admin has', {}, true],
  ['an owner who is an admin keeps', { ownerId: 'user-2', ownerIsAdmin: true }, true],
])('%s the rights of an admin', async (_, whose, isAdmin) => {
  const told: unknown[] = [];
  const plan: JobType['plan'] = (_payload, context) => (told.push(context), { parameters: {} });
  await start().accept({ type: { ...typeOf({ parameters: {} }), plan }, payload: {}, ...whose }, origin(), true);
  expect(told).toMatchObject([{ isAdmin }]);
});

describe('a job is refused', () => {
  const plain = typeOf({ parameters: {}, payload: { a: 1 } });
  const refusal = async (
    given: Partial<Parameters<ReturnType<typeof start>['accept']>[0]>,
    of = start(),
    about = origin(),
  ) => {
    const submission = { type: plain, payload: {}, ...given };
    const error = await of.accept(submission, about, false).catch((thrown: unknown) => thrown);
    expect(of.requests).toEqual([]);
    return error;
  };

  it('when only admins may start it, and nothing is stored', async () => {
    const about = origin();
    expect(await refusal({ type: { ...plain, access: 'admins' } }, start(), about)).toMatchObject({
      code: 'FORBIDDEN',
      message:
        'Only accounts with the role admin may start a job of type dummy. An operator grants it with: openmusic accounts grant-admin <username>',
    });
    expect(await payloadOf(idFromCommand('job', about.commandId))).toEqual([]);
    const { accept } = start();
    await accept({ type: { ...plain, access: 'admins' }, payload: {} }, origin(), true);
  });

  it('when the sender’s own check fails', async () => {
    const check = () => Promise.reject(new Error('not yours'));
    expect(await refusal({ check })).toMatchObject({ message: 'not yours' });
  });

  it('when its repeat never comes', async () => {
    const repeat = { cron: '0 0 30 2 *', timeZone: 'UTC' };
    expect(await refusal({ repeat })).toMatchObject({ kind: 'rejected', code: 'NEVER_DUE' });
  });

  it('when a job with items would repeat', async () => {
    const type = typeOf({ parameters: {}, items: [{ a: 1 }] });
    const repeat = { cron: '0 9 * * *', timeZone: 'UTC' };
    expect(await refusal({ type, repeat })).toMatchObject({ kind: 'rejected', code: 'CANNOT_REPEAT' });
  });

  it('when the account has too many unfinished jobs', async () => {
    const text = `INSERT INTO jobs (id, version, owner_id, type, state, done, total, failed, created_at, dropped)
      SELECT 'job-' || n, 1, 'busy', 'dummy', CASE WHEN n > 3 THEN 'succeeded' ELSE 'queued' END, 0, 1, 0, now(), false
      FROM generate_series(1, 9) n`;
    await tables.query({ text });
    expect(await refusal({}, start(), originOf({ actor: 'busy' }))).toMatchObject({
      kind: 'too-many',
      code: 'TOO_MANY_JOBS',
    });
    await tables.query({ text: `UPDATE jobs SET state = 'dead' WHERE id = 'job-1'` });
    await start().accept({ type: plain, payload: {} }, originOf({ actor: 'busy' }), false);
  });

  it('above the limit, which is seldom counted while there is much room and each time while there is little', async () => {
    const { accept, requests, asked } = start(undefined, 40);
    const about = () => originOf({ actor: 'quick' });
    for (let n = 0; n < 20; n++) await accept({ type: plain, payload: {} }, about(), false);
    expect(asked.length).toBeLessThanOrEqual(10);
    const before = asked.length;
    for (let n = 0; n < 20; n++) await accept({ type: plain, payload: {} }, about(), false);
    expect(asked.length - before).toBeGreaterThanOrEqual(20);
    expect(requests).toHaveLength(40);
    await expect(accept({ type: plain, payload: {} }, about(), false)).rejects.toMatchObject({ code: 'TOO_MANY_JOBS' });
  });

  it.each([
    [1, 0],
    [3, 0],
    [3, 2],
    [100, 99],
    [100, 20],
  ])(
    'when as many as there may be are under way: of fifty and more at once in two processes not many more than %d, after %d',
    async (most, before) => {
      const actor = `crowd-${most}-${before}`;
      const insert = `INSERT INTO jobs (id, version, owner_id, type, state, done, total, failed, created_at, dropped)
      SELECT 'job-' || $1 || n, 1, $1, 'dummy', 'queued', 0, 1, 0, now() - interval '1 day', false FROM generate_series(1, $2) n`;
      await tables.query({ text: insert, values: [actor, before] });
      const processes = [start(undefined, most), start(undefined, most)];
      const asked = Array.from({ length: 2 * Math.max(25, most) }, (_, n) =>
        processes[n % 2]!.accept({ type: plain, payload: {} }, originOf({ actor }), false),
      );
      const outcomes = await Promise.allSettled(asked);
      const taken = outcomes.filter(({ status }) => status === 'fulfilled').length;
      const room = Math.min(most, RATE + before) - before;
      expect(taken).toBeGreaterThanOrEqual(room);
      expect(taken).toBeLessThanOrEqual(room + processes.length * Math.floor(Math.min(most, RATE) / 20));
    },
  );

  it('before it is planned, so before a file is stored for it', async () => {
    const plan = jest.fn(() => ({ parameters: {} }));
    const about = originOf({ actor: 'crowded' });
    await start(undefined, 1).accept({ type: plain, payload: {} }, originOf({ actor: 'crowded' }), false);
    expect(await refusal({ type: { ...plain, plan } }, start(undefined, 1), about)).toMatchObject({
      code: 'TOO_MANY_JOBS',
    });
    expect(plan).not.toHaveBeenCalled();
  });

  it('and gives its place back as soon as it is recorded and has ended', async () => {
    const insert = `INSERT INTO jobs (id, version, owner_id, type, state, done, total, failed, created_at, dropped)
      VALUES ($1, 3, 'swift', 'dummy', 'succeeded', 0, 1, 0, now() - interval '1 day', false)`;
    const { accept, requests } = start(undefined, 2, (id) => tables.query({ text: insert, values: [id] }));
    for (let n = 0; n < 6; n++) await accept({ type: plain, payload: {} }, originOf({ actor: 'swift' }), false);
    expect(requests).toHaveLength(6);
  });

  it('when the account has begun too many in the time, with occurrences of repeating jobs', async () => {
    const text = `INSERT INTO jobs (id, version, owner_id, type, state, done, total, failed, created_at, dropped, parent_id)
      SELECT 'job-hasty-' || n, 1, 'hasty', 'dummy', 'succeeded', 0, 1, 0, now() - $1 * interval '1 s', false, 'job-parent'
      FROM generate_series(1, ${RATE}) n`;
    await tables.query({ text, values: [59] });
    const refused = await refusal({}, start(undefined, 1_000), originOf({ actor: 'hasty' }));
    expect(refused).toMatchObject({ kind: 'too-many', code: 'TOO_MANY_REQUESTS', retryAfter: 60 });
    await tables.query({ text: `UPDATE jobs SET created_at = now() - interval '61 s' WHERE owner_id = 'hasty'` });
    await start(undefined, 1_000).accept({ type: plain, payload: {} }, originOf({ actor: 'hasty' }), false);
  });

  it('when a user has too many repeating jobs, also when all are requested at once', async () => {
    const repeat = { cron: '0 9 * * *', timeZone: 'UTC' };
    const insert = `INSERT INTO jobs (id, version, owner_id, type, state, done, total, failed, created_at, dropped, repeat_cron)
      VALUES ($1, 1, 'regular', 'dummy', 'scheduled', 0, 1, 0, now() - interval '1 day', false, '0 9 * * *')`;
    const accepted = (id: string) => tables.query({ text: insert, values: [id] });
    const processes = [start(undefined, 100, accepted), start(undefined, 100, accepted)] as const;
    const about = () => originOf({ actor: 'regular' });
    const submission = { type: plain, payload: {}, repeat };
    const asked = Array.from({ length: 10 }, (_, n) => processes[n % 2 ? 1 : 0].accept(submission, about(), false));
    const outcomes = await Promise.allSettled(asked);
    const refused = outcomes.filter(({ status }) => status === 'rejected');
    expect(outcomes.length - refused.length).toBe(REPEATS);
    for (const each of refused) expect(each).toMatchObject({ reason: { kind: 'too-many', code: 'TOO_MANY_REPEATS' } });
    await processes[0].accept(submission, about(), true);
  });

  it('when the user’s files take all of their room, and the message says how much', async () => {
    const storing = { ...typeOf({ parameters: {}, bytes: 600 }), usesFiles: true };
    const about = () => originOf({ actor: 'collector' });
    await start().accept({ type: storing, payload: {} }, about(), false);
    await createStoredFiles(tables, STORED).claim({ name: 'reports/1', account: 'collector', bytes: 401 });
    expect(await refusal({ type: storing }, start(), about())).toMatchObject({
      kind: 'too-many',
      code: 'TOO_MUCH_STORED',
      message: 'Your files take 401 bytes; they may take 1000.',
    });
  });

  it('with 503 while it cannot be stored', async () => {
    expect(await refusal({}, start(new Error('no database')))).toMatchObject({
      kind: 'unavailable',
      code: 'DATABASE_UNAVAILABLE',
    });
  });
});
