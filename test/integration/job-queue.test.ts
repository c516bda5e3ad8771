import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { recordsOf } from '../support/records.ts';
import fc from 'fast-check';
import { pino } from 'pino';
import { EXPORTER } from '../../src/consumers/exporter.ts';
import { SCHEDULER } from '../../src/consumers/scheduler.ts';
import { WORKER } from '../../src/consumers/worker.ts';
import { topicOf } from '../../src/events/placement.ts';
import type { LogRecord } from '../../src/events/record.ts';
import type { AnyEvent } from '../../src/events/events.ts';
import type { JobEvent, JobRequest } from '../../src/events/jobs.ts';
import { partitionKey } from '../../src/events/record.ts';
import { queueOf, type QueueScope } from '../../src/jobs/queue.ts';
import { queueSchema, startQueueFeed } from '../../src/jobs/queue-feed.ts';
import { type Database, openDatabase } from '../../src/postgres/pool.ts';
import { streamHeads } from '../../src/event-store/stream-index.ts';
import { changesOf, createPostgresStore } from '../../src/projections/engine/postgres-store.ts';
import type { AppliedEvent } from '../../src/projections/engine/applied-event.ts';
import { createProjector } from '../../src/projections/engine/projector.ts';
import { bulkSql } from '../../src/projections/engine/statement.ts';
import type { Commit, CommitOutcome, ProjectionStore } from '../../src/projections/engine/store.ts';
import { claim, type Core, openCore, withCorruptValue } from '../support/core.ts';
import {
  type BareQueue,
  historyOf,
  newJobId,
  openQueue,
  repeatOf,
  SCOPES,
  timeOf,
  jobEvents,
} from '../support/jobs.ts';
import { createDatabase, type TestDatabase } from '../support/servers/index.ts';
import { until } from '../support/servers/waiting.ts';

const SEED = Number(process.env.JOB_QUEUE_SEED ?? Date.now() % 1_000_000);
const first = '2030-01-01T09:00:00.000Z';
const second = '2030-01-02T09:00:00.000Z';
const repeat = repeatOf('0 9 * * *', 'Europe/Berlin', first);
const mailed: Partial<JobRequest> = { jobType: 'email', provider: 'smtp', payloadId: 'job-1', total: 4 };

let server: TestDatabase;
let core: Core;
const closing: (() => Promise<void>)[] = [];

beforeAll(async () => {
  console.log(`seed ${SEED}`);
  server = await createDatabase();
  core = await openCore({ connection: server.connection, projecting: 'never-built' });
});
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});
afterAll(async () => {
  await core.close();
  await server.drop();
});

let schemas = 0;

async function open(scope: QueueScope = WORKER, of = core): Promise<BareQueue> {
  const schema = `queue_${(schemas += 1)}`;
  const queue = await openQueue(of.connection, { namespace: of.namespace, schema, scope });
  closing.push(() => queue.close());
  await queue.database.query({
    text: 'INSERT INTO checkpoints (topic, partition) SELECT * FROM json_to_recordset($1) AS p (topic text, partition int)',
    values: [JSON.stringify(partitionsOf(of))],
  });
  return queue;
}

const partitionsOf = ({ placement }: Core) =>
  placement.all.filter(({ topic }) => topic === topicOf(placement.namespace, 'jobs'));

interface Row extends Record<string, unknown> {
  readonly job_id: string;
}

const rowsOf = (database: Database) =>
  database.query<Row>({ text: 'SELECT * FROM job_queue ORDER BY job_id COLLATE "C"' });
const headsOf = (database: Database) =>
  database.query<{ stream: string; version: number; record_id: string }>({
    text: `SELECT * FROM stream_heads WHERE stream LIKE 'job-%' ORDER BY stream COLLATE "C"`,
  });

/** In one batch, as one statement per write. */
async function apply({ database }: BareQueue, scope: QueueScope, events: readonly AppliedEvent[]): Promise<void> {
  for (const write of changesOf([queueOf(scope)], events).flatMap((changes) => changes.writes())) {
    const text = `WITH gate AS (SELECT true AS open) ${bulkSql(write).replaceAll('$n', '$1')}`;
    await database.query({ text, values: [JSON.stringify(write.rows)] });
  }
}

const row = {
  job_id: 'job-1',
  lane: 'dummy',
  job_type: 'dummy',
  owner_id: 'user-1',
  parameters: '{}',
  payload_id: null,
  provider: null,
  total: 1,
  max_attempts: 3,
  repeat_cron: null,
  repeat_zone: null,
  state: 'waiting',
  repeat_missed: null,
  repeat_until: null,
  repeat_count: null,
  occurred: 0,
  due: true,
  priority: 0,
  backoff: 'exponential',
  backoff_first_ms: 1_000,
  backoff_max_ms: 300_000,
  attempt: 0,
  counted: 0,
  redo_through: 0,
  run_at: new Date(timeOf(0)),
  version: 1,
};
const mailedRow = { ...row, lane: 'email:smtp', job_type: 'email', provider: 'smtp', payload_id: 'job-1', total: 4 };
const repeatingRow = {
  ...row,
  run_at: new Date(first),
  repeat_cron: repeat.cron,
  repeat_zone: repeat.timeZone,
  repeat_missed: 'run-once',
  due: false,
};
const later = '2031-01-01T00:00:00.000Z';

type Case = [string, QueueScope, readonly JobEvent[], object[]];
const {
  requested,
  started,
  failed,
  progressed,
  completed,
  died,
  cancelled,
  retried,
  occurred,
  repeatChanged,
  dropped,
} = jobEvents;

describe('the queue’s rows', () => {
  it.each<Case>([
    ['a requested job', WORKER, [requested()], [row]],
    ['the needs of a job', WORKER, [requested(mailed)], [mailedRow]],
    [
      'a job with a start time',
      WORKER,
      [requested({ runAt: later })],
      [{ ...row, run_at: new Date(later), due: false }],
    ],
    [
      'an export, with the exporters only',
      EXPORTER,
      [requested({ jobType: 'export-playlist' })],
      [{ ...row, lane: 'export-playlist', job_type: 'export-playlist' }],
    ],
    ['no other job with the exporters', EXPORTER, [requested(), started(1), failed(1, 1)], []],
    ['no export with the workers', WORKER, [requested({ jobType: 'export-playlist' }), started(1)], []],
    ['a repeating job at its first time', SCHEDULER, [requested({ repeat })], [repeatingRow]],
    ['no repeating job with the workers', WORKER, [requested({ repeat }), occurred(first, second)], []],
    [
      'a repeating job at its next time',
      SCHEDULER,
      [requested({ repeat }), occurred(first, second)],
      [{ ...repeatingRow, version: 2, run_at: new Date(second), occurred: 1 }],
    ],
    [
      'a repeating job at the first time of its changed repeat',
      SCHEDULER,
      [requested({ repeat }), repeatChanged(repeatOf('0 9 * * 1', 'Asia/Jakarta', later))],
      [
        {
          ...repeatingRow,
          version: 2,
          run_at: new Date(later),
          repeat_cron: '0 9 * * 1',
          repeat_zone: 'Asia/Jakarta',
        },
      ],
    ],
    ['no repeating job after its last time', SCHEDULER, [requested({ repeat }), occurred(first, null)], []],
    ['no job without a repeat with the schedulers', SCHEDULER, [requested(), started(1)], []],
    ['a running job', WORKER, [requested(), started(1)], [{ ...row, version: 2, state: 'running', attempt: 1 }]],
    [
      'a job that was taken over',
      WORKER,
      [requested(), started(1), started(2, 1, true)],
      [{ ...row, version: 3, state: 'running', attempt: 2, counted: 1 }],
    ],
    [
      'a job that waits for another attempt',
      WORKER,
      [requested(), started(1), failed(1, 1, later)],
      [{ ...row, version: 3, attempt: 1, counted: 1, run_at: new Date(later), due: false }],
    ],
    [
      'the version of a job that reports progress',
      WORKER,
      [requested(), started(1), progressed(1), progressed(1, 2)],
      [{ ...row, version: 4, state: 'running', attempt: 1 }],
    ],
    ['no job that is done', WORKER, [requested(), started(1), completed(1)], []],
    ['no job that died', WORKER, [requested(), started(1), died(1), dropped()], []],
    ['no job that was cancelled before it ran', WORKER, [requested(), cancelled()], []],
    ['no job that was cancelled while it ran', WORKER, [requested(), started(1), cancelled(1)], []],
    [
      'a job that is retried from the beginning, with the number of its last attempt',
      WORKER,
      [requested(mailed), started(1), died(1), retried(1, false, mailed)],
      [{ ...mailedRow, version: 4, attempt: 1, redo_through: 1, run_at: new Date(timeOf(3)) }],
    ],
    [
      'a job whose failed items are retried',
      WORKER,
      [requested(mailed), started(1), failed(1, 1), started(2, 1), completed(2), retried(2, true, mailed)],
      [{ ...mailedRow, version: 6, attempt: 2, redo_through: 2, run_at: new Date(timeOf(5)) }],
    ],
    ['no retried export', WORKER, [retried(2, true, { jobType: 'export-playlist' })], []],
    [
      'a job that fails again after a retry',
      WORKER,
      [requested(), started(1), died(1), retried(1), started(2), failed(2, 1, later)],
      [{ ...row, version: 6, attempt: 2, counted: 1, redo_through: 1, run_at: new Date(later), due: false }],
    ],
  ])('are the same applied once, twice, in one batch and one by one: %s', async (_, scope, events, rows) => {
    const queue = await open(scope);
    const history = historyOf('job-1', ...events);
    const batches = [history.map((each) => [each]), [history]];
    for (const batch of batches) {
      for (const count of [1, 2]) {
        await queue.database.query({ text: 'TRUNCATE job_queue' });
        for (const each of batch) for (let left = count; left > 0; left--) await apply(queue, scope, each);
        expect(await rowsOf(queue.database)).toEqual(rows);
      }
    }
  });

  it('have the columns that the projection names', async () => {
    const { database } = await open();
    const { fields } = await database.use((client) => client.query('SELECT * FROM job_queue'));
    expect(fields.map(({ name }) => name)).toEqual(Object.keys(queueOf(WORKER).table.columns));
  });
});

const context = { signal: new AbortController().signal, heartbeat: () => Promise.resolve() };
const silent = () => undefined;

/** A member of a group that the test steps, a few records at a time when it gets random numbers. */
async function memberOf(
  { database }: BareQueue,
  scope: QueueScope,
  options: { of?: Core; random?: () => number; outcomes?: CommitOutcome[]; commits?: Commit[] } = {},
) {
  const { of = core, random, outcomes = [], commits = [] } = options;
  const store = createPostgresStore(database, [queueOf(scope)], of.namespace, streamHeads);
  const noting: ProjectionStore = {
    ...store,
    async commit(commit) {
      const outcome = await store.commit(commit);
      outcomes.push(outcome);
      if (typeof outcome === 'object') commits.push(commit);
      return outcome;
    },
  };
  const projector = createProjector({
    store: noting,
    belongs: (stream, where) => of.placement.belongs(stream, where),
    voids: () => Promise.resolve(() => false),
    ends: (some) => of.log.ends(some),
    observer: { committed: silent, lost: silent, quarantined: silent, stopped: silent },
  });
  const next = new Map<string, number>();
  const assigned = async () => {
    for (const start of await projector.assigned(partitionsOf(of))) next.set(partitionKey(start), start.offset);
  };

  async function step(): Promise<boolean> {
    const ends = await of.log.ends(partitionsOf(of));
    const left = ends.filter((end) => (next.get(partitionKey(end)) ?? 0) < end.offset);
    for (const { topic, partition } of left) {
      if (random && random() < 0.3) continue;
      const records = await of.log.read({
        topic,
        partition,
        offset: next.get(partitionKey({ topic, partition })) ?? 0,
      });
      const [head, ...rest] = random ? records.slice(0, 1 + Math.floor(random() * 12)) : records;
      if (!head) continue;
      const answers = await projector.deliver([{ topic, partition, records: [head, ...rest] }], context);
      for (const answer of answers) if (answer.next !== 'stopped') next.set(partitionKey(answer), answer.next);
    }
    return left.length > 0;
  }

  await assigned();
  return {
    assigned,
    async catchUp() {
      while (await step());
    },
  };
}

const append = (...records: readonly LogRecord[]) =>
  core.log.append(records.map((record) => ({ ...core.placement.place(record.key), record })));

/** Valid claims of one job, one after the other. */
function claims(stream: string, events: readonly AnyEvent[]) {
  const records: (LogRecord & { id: string })[] = [];
  for (const [index, event] of events.entries())
    records.push(claim({ stream, version: index + 1, prev: records.at(-1)?.id ?? '', event }));
  return records;
}

/** A queue of the workers without a consumer, and a member of the group. */
async function openWithMember(outcomes: CommitOutcome[] = []) {
  const queue = await open();
  const member = await memberOf(queue, WORKER, { outcomes });
  await member.catchUp();
  const mine = async (stream: string) => ({
    row: (await rowsOf(queue.database)).find(({ job_id }) => job_id === stream),
    head: (await headsOf(queue.database)).find((each) => each.stream === stream),
  });
  return { queue, member, mine };
}

describe('the first valid claim wins, as in every consumer', () => {
  it.each<[string, (head: string) => { version?: number; prev?: string }]>([
    ['of an existing version', (prev) => ({ version: 1, prev })],
    ['that begins the stream again', () => ({ version: 1, prev: '' })],
    ['of a version too far', (prev) => ({ version: 3, prev })],
    ['after another record', () => ({ version: 2, prev: '0198c0de-0000-7000-8000-000000000000' })],
    ['after nothing', () => ({ version: 2, prev: '' })],
  ])('a claim %s changes nothing, in its own batch and in a later one', async (_, wrong) => {
    const { member, mine } = await openWithMember();
    const stream = newJobId();
    const [one, two] = claims(stream, [requested(), started(1)]);
    const loser = claim({ stream, event: cancelled(), ...wrong(one!.id) });
    await append(one!, loser);
    await member.catchUp();
    expect(await mine(stream)).toMatchObject({ row: { version: 1 }, head: { version: 1, record_id: one!.id } });
    await append(loser);
    await member.catchUp();
    await member.assigned();
    await append(loser, one!, two!, loser);
    await member.catchUp();
    expect(await mine(stream)).toMatchObject({
      row: { version: 2, state: 'running' },
      head: { version: 2, record_id: two!.id },
    });
  });

  it('a request that was delivered twice is one job, even if the second is assumed to be new', async () => {
    const outcomes: CommitOutcome[] = [];
    const { member, mine } = await openWithMember(outcomes);
    const [stream, other] = [newJobId(), newJobId()];
    const [request, start] = claims(stream, [requested(), started(1)]);
    await append(request!, start!);
    await member.catchUp();
    await member.assigned(); // heads are forgotten
    outcomes.length = 0;
    await append(request!, ...claims(other, [requested()]));
    await member.catchUp();
    expect(outcomes).toContain('not-new');
    expect(outcomes.at(-1)).toMatchObject({ onlyServing: true });
    expect(await mine(stream)).toMatchObject({ row: { version: 2, state: 'running' }, head: { record_id: start!.id } });
    expect((await mine(other)).row).toMatchObject({ version: 1 });
  });

  it('the head is the last accepted record, also of a finished job', async () => {
    const { queue, member, mine } = await openWithMember();
    const stream = newJobId();
    const records = claims(stream, [requested(), started(1), completed(1), retried(1, true), cancelled()]);
    for (const record of records) {
      await append(record);
      await member.catchUp();
      expect((await mine(stream)).head).toMatchObject({ record_id: record.id });
    }
    expect((await mine(stream)).row).toBeUndefined();
    expect((await headsOf(queue.database)).filter((each) => each.stream === stream)).toHaveLength(1);
  });

  it('two members with the same partitions produce the queue of one', async () => {
    const queue = await open();
    const pair = [await memberOf(queue, WORKER), await memberOf(queue, WORKER)];
    const streams = Array.from({ length: 6 }, newJobId);
    const events = [requested(), started(1), failed(1, 1), started(2, 1)];
    const records = streams.map((stream) => claims(stream, events));
    for (const index of events.keys()) {
      await append(...records.flatMap((each) => each[index] ?? []));
      await Promise.all(pair.map((member) => member.catchUp()));
    }
    const rows = (await rowsOf(queue.database)).filter(({ job_id }) => streams.includes(job_id));
    expect(rows).toHaveLength(6);
    for (const each of rows) expect(each).toMatchObject({ version: 4, state: 'running', attempt: 2, counted: 1 });
  });

  it('a stream with an unreadable record is closed: its later records are kept and change nothing', async () => {
    const { queue, member, mine } = await openWithMember();
    const stream = newJobId();
    const [one, two, three] = claims(stream, [requested(), started(1), cancelled(1)]);
    await append(one!, { ...withCorruptValue(two!) });
    await member.catchUp();
    await member.assigned();
    await append(three!);
    await member.catchUp();
    expect(await mine(stream)).toMatchObject({ row: { version: 1 }, head: { version: 3, record_id: three!.id } });
    expect(await queue.database.query({ text: 'SELECT stream, version FROM quarantine' })).toContainEqual({
      stream,
      version: 2,
    });
  });
});

/** Histories of jobs, as far as the decider allows them. */
const histories: readonly (readonly JobEvent[])[] = [
  [requested(mailed), started(1), progressed(1), completed(1)],
  [requested(), started(1), failed(1, 1), started(2, 1), died(2), dropped(), retried(2), started(3)],
  [requested(mailed), started(1), started(2, 1, true), completed(2), retried(2, true, mailed)],
  [requested({ runAt: later }), cancelled(), retried(0), started(1), failed(1, 0)],
  [requested({ repeat }), occurred(first, second), occurred(second, null)],
  [requested({ repeat }), occurred(first, second)],
  [requested({ jobType: 'export-playlist', provider: 'file' }), started(1), failed(1, 1), started(2, 1)],
  [requested({ jobType: 'export-playlist', runAt: later })],
];

describe('a queue', () => {
  it('that is rebuilt from the beginning of the log equals the maintained one, for every group', async () => {
    const live = await Promise.all(SCOPES.map(async (scope) => ({ scope, queue: await open(scope) })));
    const members = await Promise.all(
      live.map(({ scope, queue }) => memberOf(queue, scope, { random: randomOf(SEED) })),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(fc.nat(), { minLength: 20, maxLength: 60 }), async (choices) => {
        await appendMixed(choices);
        for (const member of members) await member.catchUp();
        for (const { scope, queue } of live) {
          const anew = await open(scope);
          await (await memberOf(anew, scope, { random: randomOf(SEED + choices.length) })).catchUp();
          expect(await rowsOf(anew.database)).toEqual(await rowsOf(queue.database));
          expect(await headsOf(anew.database)).toEqual(await headsOf(queue.database));
        }
      }),
      { numRuns: 6, seed: SEED },
    );
    const [exporter, worker, scheduler] = await Promise.all(live.map(({ queue }) => rowsOf(queue.database)));
    expect([exporter!.length, worker!.length, scheduler!.length].every((count) => count > 0)).toBe(true);
  });

  it('is updated by a member of the group while it runs, and then by the next one', async () => {
    const said: number[] = [];
    const stop = await startConsumer((commit) => said.push(commit.accepted.length));
    const database = openDatabase(core.connection, {
      name: 'looking',
      max: 1,
      searchPath: [queueSchema(core.namespace, WORKER), core.namespace, 'public'],
    });
    closing.push(() => database.stop());
    const stream = newJobId();
    const [one, two] = claims(stream, [requested(), started(1)]);
    const versionIs = (version: number) =>
      until(
        async () => (await rowsOf(database)).some((each) => each.job_id === stream && each.version === version),
        30_000,
        () => `the queue has no version ${version}`,
      );
    await append(one!);
    await versionIs(1);
    await stop();
    await append(two!);
    const stopNext = await startConsumer(silent);
    await versionIs(2);
    await stopNext();
    expect(said.length).toBeGreaterThan(0);
    const anew = await open();
    await (await memberOf(anew, WORKER)).catchUp();
    expect(await rowsOf(anew.database)).toEqual(await rowsOf(database));
  });
});

it('judges a later record of a genesis stream like every consumer', async () => {
  const [where] = partitionsOf(core);
  const [genesis] = recordsOf(await core.log.read({ ...where!, offset: 0 }));
  const prev = genesis!.headers.ce_id!;
  const stream = core.placement.genesisOf(where!);
  const owner = { systemIdentifier: '7512345678901234567', databaseOid: '16384' };
  const event: AnyEvent = {
    type: 'OwnerChanged',
    incarnation: prev,
    ...where!,
    owner,
    previousOwner: null,
    reason: 'claimed',
    at: timeOf(0),
  };
  const [changed, late] = [0, 1].map(() => claim({ stream, version: 2, prev, event }));
  await core.log.append([changed!, late!].map((record) => ({ ...where!, record })));
  const stop = await startConsumer(silent);
  const database = openDatabase(core.connection, {
    name: 'looking',
    max: 1,
    searchPath: [queueSchema(core.namespace, WORKER), core.namespace, 'public'],
  });
  closing.push(() => database.stop());
  const text = 'SELECT version, record_id FROM stream_heads WHERE stream = $1';
  let heads: unknown[] = [];
  await until(
    async () => JSON.stringify((heads = await database.query({ text, values: [stream] }))).includes(changed!.id),
    15_000,
    () => `the head is ${JSON.stringify(heads)}`,
  );
  expect(heads).toEqual([{ version: 2, record_id: changed!.id }]);
  await stop();
});

/** The consumer of the queue as the product runs it. Returns a function that stops it. */
async function startConsumer(onCommitted: (commit: Commit) => void): Promise<() => Promise<void>> {
  const { log, placement, connection, namespace } = core;
  const searchPath = [queueSchema(namespace, WORKER), namespace, 'public'];
  const database = openDatabase(connection, { name: 'consumer', max: 4, searchPath });
  const logger = pino({ level: 'silent' });
  const onCrash = (error: Error) => {
    throw error;
  };
  const { consumers } = core;
  const consumer = await startQueueFeed({
    log,
    placement,
    scope: WORKER,
    database,
    logger,
    onCommitted,
    onCrash,
    consumers,
  });
  return async () => {
    await consumer.stop();
    await database.stop();
  };
}

/** Histories of jobs, their records interleaved, with duplicates and with losing claims. */
async function appendMixed(choices: readonly number[]): Promise<void> {
  const open = histories.map((history) => claims(newJobId(), history));
  for (const choice of choices) {
    const history = open[choice % open.length]!;
    const record = choice % 5 === 0 ? history[0] : history.shift();
    if (!record) continue;
    // Sometimes the copy wins, and what follows the record loses.
    const loser = claim({ stream: record.key, version: 2 + (choice % 3), prev: record.id, event: cancelled() });
    await append(...(choice % 7 === 0 ? [record, loser] : [record]));
  }
}

/** The same numbers for the same seed. */
function randomOf(seed: number): () => number {
  let state = seed % 2_147_483_647 || 1;
  return () => (state = (state * 48_271) % 2_147_483_647) / 2_147_483_647;
}

it('is tested with every kind of job event above', () => {
  const types = new Set(histories.flat().map(({ type }) => type));
  expect([...types].sort()).toEqual([
    ...['DeadLetterDropped', 'JobAttemptFailed', 'JobAttemptStarted', 'JobCancelled', 'JobCompleted', 'JobDied'],
    ...['JobOccurred', 'JobProgressed', 'JobRequested', 'JobRetried'],
  ]);
});
