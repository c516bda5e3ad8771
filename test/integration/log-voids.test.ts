import { randomUUID } from 'node:crypto';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { voidRecord } from '../../src/events/voids.ts';
import { openEmbeddedLog } from '../../src/log/embedded.ts';
import { readIdentity } from '../../src/log/identity.ts';
import { initLog } from '../../src/log/init.ts';
import { publishVoids, readPublishedVoids, readVoids, unpublishedAlarms } from '../../src/log/void-topic.ts';
import { declareVoid, voidsOf, voidTestOf } from '../../src/log/voids.ts';
import { migrate } from '../../src/postgres/migrate.ts';
import { type Database, openDatabase } from '../../src/postgres/pool.ts';
import { claim, type Core, embeddedSource, kafkaSource, openCore, withCorruptHeader } from '../support/core.ts';
import { askEveryJudge, stoppedAt } from '../support/judges.ts';
import { createDatabase, describeWithKafka, namespace, type TestDatabase } from '../support/servers/index.ts';
import { until } from '../support/servers/waiting.ts';

let postgres: TestDatabase;
let database: Database;

beforeAll(async () => {
  postgres = await createDatabase();
  const { connection } = postgres;
  const name = namespace();
  await migrate({ connection, namespace: name });
  database = openDatabase(connection, { name: 'test', max: 2, searchPath: [name] });
});
afterAll(async () => {
  await database.stop();
  await postgres.drop();
});

it('a position is declared void once, and keeps the first reason', async () => {
  const position = { topic: 't', partition: 1, offset: 7 };
  expect(await declareVoid(database, position, 'a disk lied')).toBe(true);
  expect(await declareVoid(database, position, 'another reason')).toBe(false);
  const declared = { ...position, last: 7, reason: 'a disk lied', declaredAt: expect.any(Date) };
  expect(await voidsOf(database)).toEqual([declared]);
});

it('a void is extended by a longer one from the same offset, and several can cover a range together', async () => {
  const at = (offset: number, last?: number) => ({ topic: 'longer', partition: 0, offset, last });
  await declareVoid(database, at(3, 4), 'a gap');
  const isVoid = async () => voidTestOf(await voidsOf(database));
  expect((await isVoid())(at(3, 9))).toBe(false);
  expect(await declareVoid(database, at(3, 6), 'it has grown')).toBe(true);
  await declareVoid(database, at(7, 9), 'the rest');
  expect([at(3, 9), at(5), at(3, 10), at(2), at(10)].map(await isVoid())).toEqual([true, true, false, false, false]);
  await database.query({ text: `DELETE FROM log_voids WHERE topic = 'longer'` });
});

it('voids are found in log order', async () => {
  for (const offset of [10, 9]) await declareVoid(database, { topic: 't', partition: 2, offset }, 'why');
  const found = await voidsOf(database);
  expect(found.map(({ partition, offset }) => [partition, offset])).toEqual([[1, 7], [2, 9], [2, 10]]); // prettier-ignore
});

const declaredAt = new Date('2026-11-22T21:06:18.353Z');

function topicSuite(source: () => Parameters<typeof openCore>[0]['source']): void {
  let core: Core;

  beforeAll(async () => {
    core = await openCore({ connection: postgres.connection, source: source() });
  });
  afterAll(() => core.close());

  const place = () => ({ log: core.log, namespace: core.namespace, database: core.admin });
  const topic = () => `${core.namespace}.voids`;
  const alarms = async () => unpublishedAlarms(core.namespace, await readVoids(place()));
  const voidAt = (offset: number, last = offset) => ({
    ...core.catalog(0),
    offset,
    last,
    reason: 'a disk lied',
    declaredAt,
  });

  it('a void in the topic alone, as after a crash in between, frees the partition and is copied', async () => {
    const behind = claim({ stream: core.streamIn(0) });
    await core.append(core.catalog(0), withCorruptHeader(claim({ stream: core.streamIn(0) })), behind);
    await stoppedAt(core, core.catalog(0));
    await publishVoids(place(), [voidAt(1)]);
    await until(
      async () => (await core.rows('stream_events')).some(({ record_id }) => record_id === behind.id),
      30_000,
      () => 'the projector did not go on',
    );
    expect(await voidsOf(core.admin)).toEqual([voidAt(1)]);
    expect(await readPublishedVoids(place())).toEqual({ voids: [voidAt(1)], faults: [] });
    expect(await alarms()).toEqual([]);
  });

  it('every judge reaches the same result with the voids of the topic', async () => {
    const { partitions } = await askEveryJudge(core);
    expect(partitions.reduce((sum, { losers }) => sum + (losers['declared void'] ?? 0), 0)).toBe(1);
  });

  it('an invalid void, or one for another incarnation of the log, has no effect', async () => {
    const voided = { type: 'PositionVoided', ...core.catalog(0), offset: 2, lastOffset: 2, reason: 'why' } as const;
    const before = voidRecord({ ...voided, incarnation: randomUUID(), at: declaredAt.toISOString() });
    const strange = { key: 'k', value: Buffer.of(1), headers: {} };
    const tombstone = { ...strange, value: Buffer.alloc(0) };
    await core.append({ topic: topic(), partition: 0 }, before, strange, tombstone);
    await publishVoids(place(), [{ ...voidAt(3), last: 2 }]);
    const { voids, faults } = await readPublishedVoids(place());
    expect(voids).toEqual([voidAt(1)]);
    expect(faults).toEqual([
      `${topic()}/0@2: it declares no position void: the value is not in the Confluent frame`,
      `${topic()}/0@4: it covers no offset`,
    ]);
    expect((await readVoids(place())).isVoid(voidAt(2))).toBe(false);
  });

  it('a void that the topic has lost is named, and init publishes it again', async () => {
    await declareVoid(core.admin, voidAt(7, 9), 'a gap', declaredAt);
    const lost = { ...voidAt(7, 9), reason: 'a gap' };
    expect((await readVoids(place())).unpublished).toEqual([lost]);
    expect(await alarms()).toEqual([
      `topic ${topic()} lacks 1 voids, ${core.catalog(0).topic}/0@7 among them: run \`npm run openmusic -- log init\``,
    ]);
    await initLog({ log: core.log, placement: core.placement, database: core.admin });
    expect((await readPublishedVoids(place())).voids).toEqual([voidAt(1), lost]);
    expect(await alarms()).toEqual([]);
  });
}

describe('the topic of voids of the embedded log', () => {
  topicSuite(() => embeddedSource);

  let core: Core;
  beforeEach(async () => {
    core = await openCore({ connection: postgres.connection, projecting: false });
  });
  afterEach(() => core.close());

  it('is appended to by one writer only, like every topic', async () => {
    const options = { connection: postgres.connection, namespace: core.namespace, log: () => undefined };
    const beside = await openEmbeddedLog({ ...options, readOnly: true });
    const voided = { ...core.catalog(0), offset: 1, last: 1, reason: 'why', declaredAt };
    const place = { log: beside, namespace: core.namespace, database: core.admin };
    await expect(publishVoids(place, [voided])).rejects.toThrow('open for reading only');
    await beside.close();
  });

  it('is read by a database that does not own the log, which copies nothing of it', async () => {
    const place = { log: core.log, namespace: core.namespace, database: core.admin };
    const voided = { ...core.catalog(0), offset: 1, last: 1, reason: 'why', declaredAt };
    await publishVoids(place, [voided]);
    const { incarnation } = (await readIdentity(core.admin))!;
    await core.admin.query({ text: 'DELETE FROM log_identity' });
    const { isVoid } = await readVoids({ ...place, incarnation });
    expect([isVoid(voided), isVoid({ ...voided, offset: 2, last: 2 })]).toEqual([true, false]);
    expect((await readVoids({ ...place, incarnation: randomUUID() })).isVoid(voided)).toBe(false);
    expect(await voidsOf(core.admin)).toEqual([]);
  });

  it('has gaps after compaction, which are ignored', async () => {
    const place = { log: core.log, namespace: core.namespace, database: core.admin };
    const voids = [1, 1, 5].map((offset) => ({
      ...core.catalog(0),
      offset,
      last: offset,
      reason: 'why',
      declaredAt,
    }));
    await publishVoids(place, voids);
    const text = `DELETE FROM log_records WHERE topic = $1 AND "offset" = 1`;
    await core.admin.query({ text, values: [`${core.namespace}.voids`] });
    expect((await readPublishedVoids(place)).voids).toEqual([voids[0], voids[2]]);
  });
});

describeWithKafka('the topic of voids on Kafka', ({ brokers }) => {
  topicSuite(() => kafkaSource(brokers));
});
