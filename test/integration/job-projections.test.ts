import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import type { JobEvent, JobFile, JobRequest } from '../../src/events/jobs.ts';
import { type Database, openDatabase } from '../../src/postgres/pool.ts';
import { jobAttempts } from '../../src/projections/job-attempts.ts';
import { deadJobs, findJob, JOB_LOADS, jobs, jobsOf } from '../../src/projections/jobs.ts';
import { fileOfJob, filesOf, findFiles } from '../../src/projections/job-files.ts';
import { changesOf } from '../../src/projections/engine/postgres-store.ts';
import type { AppliedEvent } from '../../src/projections/engine/applied-event.ts';
import { bulkSql } from '../../src/projections/engine/statement.ts';
import { historyOf, repeatOf, timeOf, jobEvents } from '../support/jobs.ts';
import { createDatabase, type TestDatabase } from '../support/servers/index.ts';

let server: TestDatabase;
let database: Database;

beforeAll(async () => {
  server = await createDatabase();
  database = openDatabase(server.connection, { name: 'jobs', max: 2, searchPath: ['public'] });
  await database.use((client) => client.query(`${jobs.ddl}; ${jobAttempts.ddl}`));
});
afterEach(() => database.query({ text: 'TRUNCATE jobs, job_attempts' }));
afterAll(async () => {
  await database.stop();
  await server.drop();
});

/** In one batch, as one statement per write. */
async function apply(events: readonly AppliedEvent[]): Promise<void> {
  for (const write of changesOf([jobs, jobAttempts], events).flatMap((changes) => changes.writes())) {
    const text = `WITH gate AS (SELECT true AS open) ${bulkSql(write).replaceAll('$n', '$1')}`;
    await database.query({ text, values: [JSON.stringify(write.rows)] });
  }
}

const { requested, started, failed, progressed, completed, died, cancelled, retried, occurred, dropped } = jobEvents;
const first = '2030-01-01T09:00:00.000Z';
const second = '2030-01-02T09:00:00.000Z';
const repeat = repeatOf('0 9 * * *', 'Asia/Jakarta', first);
const of4: Partial<JobRequest> = { total: 4 };

const [none, lost] = [
  { done: 0, total: 1, failed: 0 },
  { code: 'WORKER_LOST', message: 'Nothing more was heard of the worker.' },
];
const base = { id: 'job-1', type: 'dummy', state: 'queued', progress: none, attempts: [], createdAt: timeOf(0) };
const ran = (begun: number, ended: number | null, error?: { code: string; message: string }) => ({
  startedAt: timeOf(begun),
  finishedAt: ended === null ? null : timeOf(ended),
  ...(error && { error }),
});
const broke = { code: 'FAILED', message: 'it did not work' };
const hopeless = { code: 'HOPELESS', message: 'never' };
const over = { done: 3, total: 4, failed: 1 };

const file: JobFile = {
  fileId: 'file-1',
  stored: 'exports/job-1.json',
  name: 'a.json',
  kind: 'export',
  mediaType: 'application/json',
  size: 12,
};
const madeFile = (attempt: number): JobEvent => ({
  type: 'JobCompleted',
  jobId: 'job-1',
  attempt,
  done: 1,
  total: 1,
  failed: 0,
  file,
  result: '{}',
});

const withPayload = (event: JobEvent, payloadId: string): JobEvent =>
  'request' in event ? { ...event, request: { ...event.request, payloadId } } : event;

type Case = [string, readonly JobEvent[], object, { version: number; dropped?: boolean }];

describe('a job’s rows', () => {
  it.each<Case>([
    ['queued when it was requested', [requested()], base, { version: 1 }],
    [
      'scheduled when it has a start time, with its group',
      [requested({ runAt: first, parentId: 'job-0', replaces: 'job-9' })],
      { ...base, state: 'scheduled', deliverAt: first, parentId: 'job-0', replaces: 'job-9' },
      { version: 1 },
    ],
    [
      'scheduled when it repeats, with its first time',
      [requested({ repeat })],
      {
        ...base,
        state: 'scheduled',
        deliverAt: first,
        repeat: { cron: repeat.cron, timeZone: repeat.timeZone, missed: 'run-once' },
      },
      { version: 1 },
    ],
    [
      'scheduled with its next time',
      [requested({ repeat }), occurred(first, second)],
      {
        ...base,
        state: 'scheduled',
        deliverAt: second,
        repeat: { cron: repeat.cron, timeZone: repeat.timeZone, missed: 'run-once' },
      },
      { version: 2 },
    ],
    [
      'done after its last occurrence',
      [requested({ repeat }), occurred(first, null)],
      {
        ...base,
        state: 'succeeded',
        deliverAt: first,
        finishedAt: timeOf(1),
        result: {},
        repeat: { cron: repeat.cron, timeZone: repeat.timeZone, missed: 'run-once' },
      },
      { version: 2 },
    ],
    ['as running', [requested(), started(1)], { ...base, state: 'running', attempts: [ran(1, null)] }, { version: 2 }],
    [
      'running with its progress',
      [requested(of4), started(1), progressed(1, 2)],
      { ...base, state: 'running', progress: { done: 2, total: 4, failed: 0 }, attempts: [ran(1, null)] },
      { version: 3 },
    ],
    [
      'failed with its error',
      [requested(), started(1), failed(1, 1)],
      { ...base, state: 'failed-retrying', attempts: [ran(1, 2, broke)] },
      { version: 3 },
    ],
    [
      'retried after its worker crashed',
      [requested(), started(1), started(2, 1, true)],
      { ...base, state: 'running', attempts: [ran(1, 2, lost), ran(2, null)] },
      { version: 3 },
    ],
    [
      'done with its result',
      [requested(of4), started(1), failed(1, 1), started(2, 1), completed(2)],
      {
        ...base,
        state: 'succeeded',
        progress: over,
        finishedAt: timeOf(4),
        result: { lines: 4 },
        attempts: [ran(1, 2, broke), ran(3, 4)],
      },
      { version: 5 },
    ],
    [
      'done with its file',
      [requested(), started(1), madeFile(1)],
      {
        ...base,
        state: 'succeeded',
        progress: { done: 1, total: 1, failed: 0 },
        finishedAt: timeOf(2),
        attempts: [ran(1, 2)],
        result: { fileId: 'file-1', name: 'a.json', size: 12 },
      },
      { version: 3 },
    ],
    [
      'as dead',
      [requested(), started(1), died(1)],
      { ...base, state: 'dead', attempts: [ran(1, 2, hopeless)], finishedAt: timeOf(2) },
      { version: 3 },
    ],
    [
      'dead and dropped',
      [requested(), started(1), died(1), dropped()],
      { ...base, state: 'dead', attempts: [ran(1, 2, hopeless)], finishedAt: timeOf(2) },
      { version: 4, dropped: true },
    ],
    [
      'cancelled before it ran',
      [requested(), cancelled()],
      { ...base, state: 'cancelled', finishedAt: timeOf(1) },
      { version: 2 },
    ],
    [
      'cancelled while it ran',
      [requested(), started(1), cancelled(1)],
      {
        ...base,
        state: 'cancelled',
        finishedAt: timeOf(2),
        attempts: [ran(1, 2, { code: 'CANCELLED', message: 'The job was called off.' })],
      },
      { version: 3 },
    ],
    [
      'queued again with its earlier attempts',
      [requested({ ...of4, runAt: first }), started(1), progressed(1, 2), died(1), dropped(), retried(1, false, of4)],
      { ...base, progress: { done: 0, total: 4, failed: 0 }, attempts: [ran(1, 3, hopeless)] },
      { version: 6 },
    ],
    [
      'queued again after a partial failure, without a result',
      [requested(of4), started(1), completed(1), retried(1, true, of4)],
      { ...base, progress: { done: 0, total: 4, failed: 0 }, attempts: [ran(1, 2)] },
      { version: 4 },
    ],
  ])('are the same applied once, twice, in one batch and one by one: %s', async (_, events, job, about) => {
    const history = historyOf('job-1', ...events.map((event) => withPayload(event, 'job-1.1')));
    for (const batch of [history.map((each) => [each]), [history]]) {
      for (const count of [1, 2]) {
        await database.query({ text: 'TRUNCATE jobs, job_attempts' });
        for (const each of batch) for (let left = count; left > 0; left--) await apply(each);
        const known = { ownerId: 'user-1', payloadId: 'job-1.1', dropped: false };
        expect(await findJob(database, 'job-1')).toEqual({ ...known, ...about, job });
      }
    }
  });

  it('do not exist for a missing job', async () => {
    expect(await findJob(database, 'job-2')).toBeUndefined();
  });

  it('list ten and more attempts in order', async () => {
    const attempts = Array.from({ length: 12 }, (_, index) => [started(index + 1), failed(index + 1, 0)]).flat();
    await apply(historyOf('job-1', requested(), ...attempts));
    const found = await findJob(database, 'job-1');
    expect(found!.job.attempts).toEqual(
      Array.from({ length: 12 }, (_, index) => ran(2 * index + 1, 2 * index + 2, broke)),
    );
  });

  it.each([jobs, jobAttempts])('have the columns that the projection names ($table.name)', async (projection) => {
    const { fields } = await database.use((client) => client.query(`SELECT * FROM ${projection.table.name}`));
    expect(fields.map(({ name }) => name)).toEqual(Object.keys(projection.table.columns));
  });
});

/** One job each second, of two accounts and of two types; some have ended. */
async function writeMany(): Promise<void> {
  const histories: (readonly JobEvent[])[] = [
    [],
    [started(1)],
    [started(1), completed(1)],
    [started(1), died(1)],
    [cancelled()],
  ];
  for (let index = 0; index < 30; index++) {
    const request = { ownerId: index % 3 === 0 ? 'user-2' : 'user-1', jobType: index % 2 === 0 ? 'dummy' : 'email' };
    const history = historyOf(idOf(index), requested(request), ...histories[index % 5]!);
    await apply(history.map((each) => ({ ...each, time: timeOf(Math.floor(index / 4)) }))); // four at the same time
  }
}
const idOf = (index: number) => `job-${String(index).padStart(2, '0')}`;
const mine = Array.from({ length: 30 }, (_, index) => index).filter((index) => index % 3 !== 0).reverse(); // prettier-ignore
const idsOf = (views: readonly { id: string }[]) => views.map(({ id }) => id);

describe('jobs of an account', () => {
  it('are listed newest first, and each is on one page', async () => {
    await writeMany();
    const seen: string[] = [];
    for (let after: { createdAt: string; id: string } | undefined; ;) {
      const page = await jobsOf(database, { owner: 'user-1', limit: 3, after });
      seen.push(...idsOf(page));
      after = page.at(-1);
      if (page.length < 3) break;
    }
    expect(seen).toEqual(mine.map(idOf));
  });

  it('can be filtered by state and type', async () => {
    await writeMany();
    const search = { owner: 'user-1', limit: 100 };
    const expected = (wanted: (index: number) => boolean) => mine.filter(wanted).map(idOf);
    expect(idsOf(await jobsOf(database, { ...search, state: 'dead' }))).toEqual(expected((index) => index % 5 === 3));
    expect(idsOf(await jobsOf(database, { ...search, type: 'email' }))).toEqual(expected((index) => index % 2 === 1));
    expect(idsOf(await jobsOf(database, { ...search, state: 'running', type: 'dummy' }))).toEqual(
      expected((index) => index % 5 === 1 && index % 2 === 0),
    );
    expect(await jobsOf(database, { ...search, owner: 'user-none' })).toEqual([]);
  });

  it('that have not ended are counted up to a limit', async () => {
    await writeMany();
    const count = mine.filter((index) => index % 5 < 2).length;
    expect(await unfinishedOf(['user-1', 'user-none'], 100)).toEqual([count, 0]);
    expect(await unfinishedOf(['user-1'], 3)).toEqual([3]);
  });

  it('that wait for a retry or for their time have not ended', async () => {
    await apply(historyOf('job-1', requested(), started(1), failed(1, 1)));
    await apply(historyOf('job-2', requested({ repeat })));
    expect(await unfinishedOf(['user-1'], 100)).toEqual([2]);
  });
});

async function unfinishedOf(owners: readonly string[], unfinished: number): Promise<number[]> {
  const loads = await database.query<{ account: string; unfinished: number }>({
    text: JOB_LOADS,
    values: [owners, unfinished, 0, 0],
  });
  return loads.map((load) => load.unfinished);
}

describe('dead jobs', () => {
  it('are those of all accounts, newest first, without the dropped ones', async () => {
    await writeMany();
    await apply([{ ...historyOf(idOf(13), dropped())[0]!, version: 4 }]);
    const dead = [28, 23, 18, 8, 3].map(idOf);
    expect(idsOf(await deadJobs(database, 100))).toEqual(dead);
    const [one, two] = await deadJobs(database, 2);
    const after = { createdAt: two!.finishedAt!, id: two!.id };
    expect([one!.id, two!.id, ...idsOf(await deadJobs(database, 100, after))]).toEqual(dead);
    expect(one!.attempts).toMatchObject([{ error: hopeless }]);
  });

  it('are not listed any more when they are retried', async () => {
    await apply(historyOf('job-1', requested(), started(1), died(1), retried(1)));
    expect(await deadJobs(database, 100)).toEqual([]);
  });
});

describe('files made by jobs', () => {
  const idOfFile = (index: number) => `file-${String(index).padStart(2, '0')}`;

  async function writeFiles(): Promise<void> {
    for (let index = 0; index < 8; index++) {
      const ownerId = index % 4 === 0 ? 'user-2' : 'user-1';
      const made: JobEvent = { ...madeFile(1), file: { ...file, fileId: idOfFile(index) } } as JobEvent;
      const history = historyOf(idOf(index), requested({ ownerId }), started(1), made);
      await apply(history.map((each) => ({ ...each, time: timeOf(Math.floor(index / 3)) })));
    }
    await apply(historyOf('job-without', requested(), started(1), completed(1)));
  }

  it('are listed per account, newest first, and each is on one page', async () => {
    await writeFiles();
    const expected = [7, 6, 5, 3, 2, 1].map(idOfFile);
    const page = await filesOf(database, { owner: 'user-1', limit: 2 });
    const after = { createdAt: page[1]!.createdAt, id: page[1]!.jobId };
    const rest = await filesOf(database, { owner: 'user-1', limit: 100, after });
    expect([...page, ...rest].map(({ fileId }) => fileId)).toEqual(expected);
    expect(page[0]).toEqual({
      ...file,
      fileId: idOfFile(7),
      ownerId: 'user-1',
      createdAt: timeOf(2),
      jobId: idOf(7),
    });
  });

  it('are found by their own id and by the id of the job', async () => {
    await writeFiles();
    const found = await findFiles(database, [idOfFile(3), 'file-none', idOfFile(4)]);
    expect(found.map(({ fileId }) => fileId).sort()).toEqual([idOfFile(3), idOfFile(4)]);
    expect(await fileOfJob(database, idOf(2))).toMatchObject({ fileId: idOfFile(2), size: 12 });
    expect(await fileOfJob(database, 'job-without')).toBeUndefined();
    expect(await fileOfJob(database, 'job-none')).toBeUndefined();
  });
});
