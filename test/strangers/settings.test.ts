import { afterAll, beforeAll, expect, it } from '@jest/globals';
import kafkajs, { type Admin } from 'kafkajs';
import { openDatabase } from '../../src/postgres/pool.ts';
import { declareVoid } from '../../src/log/voids.ts';
import { createClient as createKafkaClient, type KafkaClient } from '../../src/log/kafka/client.ts';
import { type Client, createClient } from '../support/client.ts';
import { describeDistributed, type Distributed, startDistributed } from '../support/distributed.ts';
import { entryOf, ERROR, eventually, linesOf, metricOf } from '../support/observed.ts';
import { openStrangerClient, type StrangerClient } from '../support/stranger-client.ts';
import { expectChangesAccepted } from '../support/stopped-partition.ts';
import { albumIn, catalog } from '../support/streams.ts';

const LONG_MS = 120_000;
const WEEK_MS = '604800000';

describeDistributed('a topic setting that is changed at run time:', () => {
  let system: Distributed;
  let outsider: StrangerClient;
  let kafka: KafkaClient;
  let admin: Admin;
  let client: Client;
  let topic: string;
  let albums: string[];

  beforeAll(async () => {
    system = await startDistributed({ env: { LOG_CHECK_SECONDS: '0.5' } });
    const brokers = system.env.KAFKA_BROKERS!.split(',');
    kafka = createKafkaClient({ brokers, clientId: 'operator', logger: () => undefined });
    admin = kafka.kafka.admin();
    await admin.connect();
    outsider = await openStrangerClient(brokers);
    client = createClient(system.apis[0]!.url);
    topic = catalog(system, 0).topic;
    albums = [await albumIn(system, client, 0), await albumIn(system, client, 1)];
  }, LONG_MS);
  afterAll(async () => {
    await outsider.close();
    await admin.disconnect();
    kafka.destroy();
    await system.stop();
  });

  const KEPT = { 'cleanup.policy': 'delete', 'retention.ms': '-1', 'retention.bytes': '-1', 'flush.messages': '1' };

  /** Sets all settings of the topic at once: this request resets settings that it does not name. */
  async function set(more: Record<string, string>): Promise<void> {
    const configEntries = Object.entries({ ...KEPT, ...more }).map(([name, value]) => ({ name, value }));
    const type = kafkajs.ConfigResourceTypes.TOPIC;
    await admin.alterConfigs({ validateOnly: false, resources: [{ type, name: topic, configEntries }] });
  }

  const processes = () => [system.apis[0]!, system.projectors.at(-1)!];

  async function alarms(reason: string): Promise<void> {
    for (const each of processes()) {
      await eventually(`an alarm: ${reason}`, async () => {
        const { entry } = await entryOf(each, 'log-settings');
        return entry?.ok === false && entry.detail.includes(reason);
      });
      expect((await entryOf(each, 'log-settings')).status).toBe(200);
      expect(await metricOf(each, 'openmusic_log_alarms')).toBeGreaterThan(0);
      const lines = linesOf(each, 'the log is not as it must be');
      const said = lines.filter((line) => JSON.stringify(line.alarms).includes(reason));
      expect(said.at(-1)?.level).toBe(ERROR);
      expect(said.length).toBeLessThan(3); // logged on changes, not at every check
    }
  }

  async function verifySays(reason: string): Promise<void> {
    const { code, output } = await system.cli('log', 'verify');
    expect([code, output]).toEqual([2, expect.stringContaining(`FAULT ${reason}`)]);
  }

  async function isQuiet(): Promise<void> {
    for (const each of processes()) {
      await eventually('the alarm has ended', async () => (await entryOf(each, 'log-settings')).entry?.ok === true);
      expect(await metricOf(each, 'openmusic_log_alarms')).toBe(0);
    }
  }

  it.each([
    ['retention.ms', WEEK_MS, ', it must be -1', 'refused'],
    ['retention.bytes', '1000000', ', it must be -1', 'refused'],
    ['cleanup.policy', 'compact', ', it must be delete', 'refused'],
    ['compression.type', 'lz4', ', it must be producer', 'started'],
    ['message.timestamp.type', 'LogAppendTime', ', it must be CreateTime', 'started'],
    ['max.message.bytes', '100000', ', less than 600000', 'started'],
    ['min.insync.replicas', '2', ' and 1 replicas: every append is refused', 'started'],
  ])(
    '%s=%s raises an alarm until it is set back',
    async (name, value, why, atStart) => {
      await set({ [name]: value });
      const reason = `topic ${topic} has ${name}=${value}${why}`;
      await alarms(reason);
      expect(await system.cli('log', 'init')).toMatchObject(
        atStart === 'refused' ? { code: 1, output: expect.stringContaining(reason) } : { code: 0 },
      );
      await set({});
      await isQuiet();
      for (const album of albums) await expectChangesAccepted(system, album);
    },
    LONG_MS,
  );

  it(
    'flush.messages removed from the only replica raises an alarm until it is set back',
    async () => {
      await set({ 'flush.messages': '9223372036854775807' });
      const reason = 'appends were durable at the start and are not any more';
      await eventually('an alarm', async () =>
        (await entryOf(system.apis[0]!, 'log-settings')).entry!.detail.includes(reason),
      );
      await set({});
      await isQuiet();
    },
    LONG_MS,
  );

  it(
    'voids missing from their topic raise an alarm until `log init` has appended them',
    async () => {
      const { connection, namespace } = system;
      const database = openDatabase(connection, { name: 'test', max: 1, searchPath: [namespace] });
      await declareVoid(database, { topic, partition: 0, offset: 1_000_000 }, 'a test');
      await database.stop();
      const reason = `topic ${namespace}.voids lacks 1 voids, ${topic}/0@1000000 among them`;
      await alarms(reason);
      await verifySays(reason);
      expect(await system.cli('log', 'init')).toMatchObject({ code: 0 });
      await isQuiet();
    },
    LONG_MS,
  );

  it(
    'more partitions raise an alarm: the first ones are judged, records in the others are named, and work continues',
    async () => {
      await admin.createPartitions({ topicPartitions: [{ topic, count: 4 }] });
      await alarms(`topic ${topic} has 4 partitions, the log was made with 2`);
      await outsider.produce({ topic, partition: 3 }, { key: 'a', value: Buffer.from('b'), headers: {} });
      await alarms(`${topic}/3 holds 1 records of others, which no reader judges`);
      await verifySays(`${topic}/3 holds 1 records of others`);
      for (const album of albums) await expectChangesAccepted(system, album);
      await system.projectors[0]!.end('SIGTERM');
      await system.startProjector();
      for (const album of albums) await expectChangesAccepted(system, album);
      expect((await system.cli('projections', 'rebuild')).output).toContain('equals the live generation');
    },
    LONG_MS,
  );

  it(
    'records deleted from its beginning raise an alarm: reads and writes continue, also after a restart, and no rebuild is served',
    async () => {
      await outsider.deleteBefore(catalog(system, 1), 2);
      await alarms(`${topic}/1 begins at offset 2: the records before it were deleted`);
      await verifySays(`${topic}/1@0: offsets 0 to 1 are missing`);
      for (const album of albums) await expectChangesAccepted(system, album);
      await system.projectors.at(-1)!.end('SIGTERM');
      await system.startProjector();
      for (const album of albums) await expectChangesAccepted(system, album);
      const { code, output } = await system.cli('projections', 'rebuild');
      expect([code, output]).toEqual([1, expect.stringContaining('is not in the log, which begins at 2')]);
    },
    LONG_MS,
  );
});
