import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import pg from 'pg';
import type { LogRecord, TopicPartition } from '../../src/events/record.ts';
import { openEmbeddedLog, openLogUnder } from '../../src/log/embedded.ts';
import { lastOffsetOf } from '../../src/log/entry.ts';
import type { EventLog } from '../../src/log/event-log.ts';
import type { PostgresConnection } from '../../src/postgres/connection.ts';
import { migrate } from '../../src/postgres/migrate.ts';
import { eventLogContract, type LogUnderTest } from '../contract/event-log.ts';
import { Follower } from '../contract/follower.ts';
import { namespace, type NativePostgres, startNativePostgres } from '../support/servers/index.ts';
import { recordsOf } from '../support/records.ts';

const silent = () => undefined;

/** A lock that several clients hold at once: the tables must be right without it too. */
const shared = { held: () => Promise.resolve(), stop: () => Promise.resolve() };

const openShared = (connection: PostgresConnection, name: string) =>
  openLogUnder(shared, { connection, namespace: name, log: silent });

async function logUnderTest(): Promise<LogUnderTest> {
  const [postgres, name] = [await startNativePostgres(), namespace()];
  await migrate({ connection: postgres.connection, namespace: name });
  return {
    namespace: name,
    open: () => openShared(postgres.connection, name),
    crashServer: () => postgres.restart(),
    close: () => postgres.stop(),
  };
}

eventLogContract('The embedded log', logUnderTest);

describe('the embedded log', () => {
  let postgres: NativePostgres;
  let name: string;
  const opened: EventLog[] = [];

  beforeAll(async () => {
    postgres = await startNativePostgres();
  });
  afterEach(async () => {
    await Promise.all(opened.splice(0).map((log) => log.close()));
  });
  afterAll(() => postgres.stop());

  async function newNamespace(): Promise<string> {
    name = namespace();
    await migrate({ connection: postgres.connection, namespace: name });
    return name;
  }

  async function open(work: () => Promise<EventLog>): Promise<EventLog> {
    const log = await work();
    opened.push(log);
    return log;
  }

  const openOnly = (more: Partial<Parameters<typeof openEmbeddedLog>[0]> = {}) =>
    open(() => openEmbeddedLog({ connection: postgres.connection, namespace: name, log: silent, ...more }));

  async function topicOf(log: EventLog, partitions: number): Promise<string> {
    await log.createTopics([{ topic: 'things', partitions, retentionMs: -1 }]);
    return 'things';
  }

  async function query<Row extends pg.QueryResultRow>(text: string, values: unknown[] = []): Promise<Row[]> {
    const client = new pg.Client({ ...postgres.connection, options: `-c search_path=${name}` });
    await client.connect();
    try {
      return (await client.query<Row>(text, values)).rows;
    } finally {
      await client.end();
    }
  }

  it('gives dense offsets in commit order to twenty clients that append at once', async () => {
    await newNamespace();
    const first = await openOnly();
    const topic = await topicOf(first, 3);
    const clients = await Promise.all(numbers(20).map(() => open(() => openShared(postgres.connection, name))));
    const follower = new Follower();
    await first.subscribe({ group: 'g', topics: [topic], handler: follower, onCrash: silent });
    await Promise.all(clients.map((log, client) => appendRounds(log, topic, client, 25)));
    await follower.until(() => follower.records.length === 20 * 25 * 4);
    for (const partition of numbers(3)) {
      const records = follower.records.filter((record) => record.partition === partition);
      expect(records.map(({ offset }) => offset)).toEqual(numbers(records.length));
      for (const client of numbers(20)) {
        const rounds = records.filter(({ key }) => key === `client-${client}`).map((r) => Number(r.headers.round));
        expect(rounds).toEqual(rounds.toSorted((a, b) => a - b));
      }
    }
  });

  it('delivers appended records exactly as a read returns them', async () => {
    await newNamespace();
    const log = await openOnly();
    const where = { topic: await topicOf(log, 1), partition: 0 };
    const follower = new Follower();
    await log.subscribe({ group: 'g', topics: [where.topic], handler: follower, onCrash: silent });
    await follower.until(() => follower.joins.length === 1);
    await log.append(awkward.map((record) => ({ ...where, record })));
    await follower.until(() => follower.records.length === awkward.length);
    const read = recordsOf(await log.read({ ...where, offset: 0 }));
    expect(follower.records).toEqual(read);
    expect(follower.records.map(({ headers }) => Object.keys(headers))).toEqual(
      read.map(({ headers }) => Object.keys(headers)),
    );
    expect(read.map(({ key, value, headers }) => ({ key, value, headers }))).toEqual(awkward);
  });

  it.each([
    ['NUL in a key', { key: 'a\0b', value: Buffer.alloc(0), headers: {} }],
    ['NUL in a header', { key: 'a', value: Buffer.alloc(0), headers: { name: '\0' } }],
    ['half a character', { key: 'a', value: Buffer.alloc(0), headers: { name: '\ud800' } }],
  ])('rejects %s, and the whole batch', async (_, record) => {
    await newNamespace();
    const log = await openOnly();
    const where = { topic: await topicOf(log, 1), partition: 0 };
    const batch = [awkward[0]!, record].map((each) => ({ ...where, record: each }));
    await expect(log.append(batch)).rejects.toMatchObject({ name: 'AppendError', outcome: 'refused' });
    expect(await log.ends([where])).toEqual([{ ...where, offset: 0 }]);
  });

  it('rejects a batch in which one partition does not exist', async () => {
    await newNamespace();
    const log = await openOnly();
    const topic = await topicOf(log, 2);
    const batch = [0, 1, 2].map((partition) => ({ topic, partition, record: awkward[0]! }));
    await expect(log.append(batch)).rejects.toMatchObject({ outcome: 'refused' });
    const partitions = [0, 1].map((partition) => ({ topic, partition }));
    expect((await log.ends(partitions)).map(({ offset }) => offset)).toEqual([0, 0]);
  });

  it('delivers appends of this process without waiting for the poll', async () => {
    await newNamespace();
    const log = await openOnly();
    const where = { topic: await topicOf(log, 1), partition: 0 };
    const follower = new Follower();
    await log.subscribe({ group: 'g', topics: [where.topic], handler: follower, onCrash: silent });
    await follower.until(() => follower.joins.length === 1);
    let waited = 0;
    for (const n of numbers(20)) {
      await log.append([{ ...where, record: awkward[0]! }]);
      const appended = performance.now();
      await follower.until(() => follower.records.length === n + 1);
      waited += performance.now() - appended;
    }
    expect(waited).toBeLessThan(20 * 125); // polling alone would take 20 × 250 ms
  });

  it('delivers a gap in offsets as it is in the tables', async () => {
    await newNamespace();
    const log = await openOnly();
    const where = { topic: await topicOf(log, 1), partition: 0 };
    await log.append(numbers(4).map(() => ({ ...where, record: awkward[0]! })));
    await query('DELETE FROM log_records WHERE "offset" = 1');
    const other = await openOnly({ readOnly: true });
    const follower = new Follower();
    await other.subscribe({ group: 'g', topics: [where.topic], handler: follower, onCrash: silent });
    await follower.until(() => follower.records.length === 3);
    expect(follower.records.map(({ offset }) => offset)).toEqual([0, 2, 3]);
  });

  it('reports a gap that reaches to the end', async () => {
    await newNamespace();
    const log = await openOnly();
    const where = { topic: await topicOf(log, 1), partition: 0 };
    await log.append(numbers(4).map(() => ({ ...where, record: awkward[0]! })));
    await query('DELETE FROM log_records WHERE "offset" > 1');
    const gap = { ...where, blank: 'missing', offset: 2, last: 3 };
    expect(await log.read({ ...where, offset: 2 })).toMatchObject([gap]);
    expect(await log.read({ ...where, offset: 4 })).toEqual([]);
    const other = await openOnly({ readOnly: true });
    const follower = new Follower();
    follower.onDeliver = ({ records }) => lastOffsetOf(records.at(-1)!) + 1;
    await other.subscribe({ group: 'g', topics: [where.topic], handler: follower, onCrash: silent });
    await follower.until(() => follower.slices.length === 2);
    expect(follower.slices[1]!.records).toMatchObject([gap]);
    await log.append([{ ...where, record: awkward[0]! }]);
    await follower.until(() => follower.slices.at(-1)?.records.at(-1)?.offset === 4);
  });

  it('deletes records older than the retention of their topic, and no others', async () => {
    await newNamespace();
    const log = await openOnly();
    const topics = ['for ever', 'a day'];
    const retentions = [-1, 86_400_000];
    await log.createTopics(topics.map((topic, n) => ({ topic, partitions: 1, retentionMs: retentions[n]! })));
    const places = topics.map((topic) => ({ topic, partition: 0, offset: 0 }));
    await log.append([...places, ...places].map((where) => ({ ...where, record: awkward[0]! })));
    await query(`UPDATE log_records SET appended_at = now() - interval '25 hours' WHERE "offset" = 0`);
    await log.close();
    const reopened = await openOnly();
    const left = await Promise.all(places.map((where) => reopened.read(where)));
    expect(left.map((records) => records.map(({ offset }) => offset))).toEqual([[0, 1], [1]]);
    expect((await reopened.ends(places)).map(({ offset }) => offset)).toEqual([2, 2]);
  });

  it('delivers several partitions in one call', async () => {
    await newNamespace();
    const log = await openOnly();
    const topic = await topicOf(log, 3);
    await log.append(numbers(3).map((partition) => ({ topic, partition, record: awkward[0]! })));
    const calls: number[] = [];
    const follower = new Follower();
    const handler = {
      assigned: (partitions: readonly TopicPartition[]) => follower.assigned(partitions),
      deliver: (...[slices, context]: Parameters<Follower['deliver']>) => {
        calls.push(slices.length);
        return follower.deliver(slices, context);
      },
    };
    await log.subscribe({ group: 'g', topics: [topic], handler, onCrash: silent });
    await follower.until(() => follower.records.length === 3);
    expect(calls).toEqual([3]);
  });

  it('is written by one server, and read by any number of processes', async () => {
    await newNamespace();
    const first = await openOnly();
    await topicOf(first, 1);
    await expect(openOnly()).rejects.toThrow('Another OpenMusic server already writes this log');
    const reader = await openOnly({ readOnly: true });
    const batch = [{ topic: 'things', partition: 0, record: awkward[0]! }];
    await expect(reader.append(batch)).rejects.toMatchObject({ outcome: 'refused' });
    await first.close();
    const second = await openOnly();
    await second.append(batch);
    expect(await reader.read({ topic: 'things', partition: 0, offset: 0 })).toHaveLength(1);
  });

  it('acquires its lock again when the session that held it has died', async () => {
    await newNamespace();
    const again = Promise.withResolvers<string>();
    const log = await openOnly({ log: (level, message) => (level === 'info' ? again.resolve(message) : undefined) });
    await topicOf(log, 1);
    await killLockSession();
    await again.promise;
    await log.append([{ topic: 'things', partition: 0, record: awkward[0]! }]);
    await expect(openOnly()).rejects.toThrow('Another OpenMusic server');
  });

  it('rejects every append once another server has taken over', async () => {
    await newNamespace();
    const lost = Promise.withResolvers<Error>();
    const rival = new pg.Client(postgres.connection);
    await rival.connect();
    const log = await openOnly({ onLost: lost.resolve });
    await topicOf(log, 1);
    const { rows } = await rival.query<{ key: string }>(
      lockSessions('((classid::bigint << 32) | objid::bigint)::text AS key'),
    );
    const waiting = rival.query('SELECT pg_advisory_lock($1::bigint)', [rows[0]!.key]); // the next one in the queue
    await killLockSession();
    await waiting;
    expect((await lost.promise).message).toContain('taken over');
    const batch = [{ topic: 'things', partition: 0, record: awkward[0]! }];
    await expect(log.append(batch)).rejects.toMatchObject({ outcome: 'refused' });
    await rival.end();
  });

  const lockSessions = (column: string) =>
    `SELECT ${column} FROM pg_locks JOIN pg_stat_activity USING (pid)
     WHERE locktype = 'advisory' AND granted AND application_name LIKE 'openmusic lock ${name}%'`;
  const killLockSession = () => query(lockSessions('pg_terminate_backend(pid)'));

  it('resumes by itself when Postgres was killed and restarted', async () => {
    await newNamespace();
    const again = Promise.withResolvers<string>();
    const log = await openOnly({ log: (level, message) => (level === 'info' ? again.resolve(message) : undefined) });
    const where = { topic: await topicOf(log, 1), partition: 0 };
    const follower = new Follower();
    await log.subscribe({ group: 'g', topics: [where.topic], handler: follower, onCrash: silent });
    await log.append([{ ...where, record: awkward[0]! }]);
    await follower.until(() => follower.records.length === 1);
    await postgres.restart();
    await again.promise;
    await log.append([{ ...where, record: awkward[0]! }]);
    await follower.until(() => follower.records.length === 2);
    expect(follower.records.map(({ offset }) => offset)).toEqual([0, 1]);
  });

  it('reports how durable it is', async () => {
    await newNamespace();
    const log = await openOnly();
    expect(await log.durability([])).toMatchObject({ durable: true });
    const careless = await startNativePostgres({ settings: { fsync: 'off' } });
    await migrate({ connection: careless.connection, namespace: name });
    const other = await openOnly({ connection: careless.connection });
    expect(await other.durability([])).toMatchObject({ durable: false, why: expect.stringContaining('fsync') });
    await Promise.all(opened.splice(0).map((each) => each.close()));
    await careless.stop();
  });
});

const numbers = (count: number) => Array.from({ length: count }, (_, n) => n);

/** Each round is one batch over all partitions, named in different orders, which must not deadlock. */
async function appendRounds(log: EventLog, topic: string, client: number, rounds: number): Promise<void> {
  for (const round of numbers(rounds)) {
    const record = { key: `client-${client}`, value: Buffer.alloc(8), headers: { round: String(round) } };
    await log.append([0, 1, 2, 3].map((n) => ({ topic, partition: (client + round + n) % 3, record })));
  }
}

const awkward: LogRecord[] = [
  { key: 'album-1', value: Buffer.from([0, 1, 255, 39, 92]), headers: { z: 'last', a: 'first', 7: 'a number' } },
  { key: '', value: Buffer.alloc(0), headers: {} },
  { key: 'ключ "\\\' {,}', value: Buffer.from('NULL'), headers: { '"\\': '\\u0000 is text \n\t', ё: '🎵' } },
  { key: 'large', value: Buffer.alloc(50_000, 'x'), headers: { empty: '' } },
];
