import { promisify } from 'node:util';
import { gzip, zstdCompress } from 'node:zlib';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from '@jest/globals';
import { compressFrame } from 'lz4-napi';
import type { TopicPartition } from '../../src/events/record.ts';
import { createClient, type KafkaClient } from '../../src/log/kafka/client.ts';
import { declareVoid } from '../../src/log/voids.ts';
import { claim, type Core, kafkaSource, openCore } from '../support/core.ts';
import { askEveryJudge, rebuildNow, stoppedAt, verify, withQueue } from '../support/judges.ts';
import { createDatabase, describeWithKafka, type TestDatabase } from '../support/servers/index.ts';
import { until } from '../support/servers/waiting.ts';
import { plainRecords, produceBatch, type StrangerBatch } from '../support/stranger-batch.ts';

const LONG_MS = 120_000;
const MIB = 2 ** 20;
const record = (value: Buffer, key = 'k') => ({ key, value, headers: {} });
const packGzip = promisify(gzip);
const packZstd = promisify(zstdCompress);

/** Many small ones are packed as one that is repeated: a producer can do so in a few lines. */
const manyRecords = (count: number) => plainRecords(Array.from({ length: count }, () => record(Buffer.alloc(0), '')));

async function withWrongContentChecksum(count: number): Promise<StrangerBatch> {
  const plain = plainRecords(Array.from({ length: count }, (_, n) => record(Buffer.from(`value ${n}`))));
  const packed = await compressFrame(plain, { contentChecksum: true });
  packed.writeUInt8(packed.readUInt8(packed.length - 1) ^ 1, packed.length - 1);
  return { codec: 3, count, packed };
}

const BATCHES: readonly [string, RegExp, () => Promise<StrangerBatch>][] = [
  ['a corrupt frame of lz4', /cannot be read: .*checksum/i, () => withWrongContentChecksum(3)],
  [
    'a bomb of zstd',
    /cannot be read: .*(larger than|more than)/i,
    async () => ({ codec: 4, count: 1, packed: await packZstd(plainRecords([record(Buffer.alloc(300 * MIB))])) }),
  ],
  [
    'a bomb of gzip',
    /cannot be read: .*(larger than|more than)/i,
    async () => ({ codec: 1, count: 1, packed: await packGzip(plainRecords([record(Buffer.alloc(65 * MIB))])) }),
  ],
  [
    'a bomb of lz4',
    /cannot be read: it unpacks to more than 67108864 bytes/,
    async () => ({ codec: 3, count: 1, packed: await compressFrame(plainRecords([record(Buffer.alloc(80 * MIB))])) }),
  ],
  [
    'more records than a batch may have',
    /cannot be read: it has 130000 records, more than 100000/,
    async () => ({ codec: 4, count: 130_000, packed: await packZstd(manyRecords(130_000)) }),
  ],
];

describeWithKafka('a batch that cannot be read', ({ brokers }) => {
  let database: TestDatabase;
  let core: Core;
  let client: KafkaClient;

  beforeAll(async () => {
    database = await createDatabase();
  });
  afterAll(() => database.drop());
  beforeEach(async () => {
    core = await openCore({ connection: database.connection, source: kafkaSource(brokers) });
    client = createClient({ brokers, clientId: 'stranger', logger: () => undefined });
  });
  afterEach(async () => {
    client.destroy();
    await core.close();
  });

  const jobs = (): TopicPartition => ({ topic: `${core.namespace}.jobs`, partition: 0 });

  it.each(BATCHES)(
    '%s: stops its partition only, is named by verify, and can be declared void',
    async (_, why, make) => {
      const [stuck, other] = [core.catalog(0), core.catalog(1)];
      const batch = await make();
      for (const where of [stuck, jobs()]) await produceBatch(client, where, batch);
      const [behind, elsewhere] = [claim({ stream: core.streamIn(0) }), claim({ stream: core.streamIn(1) })];
      await core.append(stuck, behind);
      expect(await stoppedAt(core, stuck)).toMatch(why);
      await stoppedAt(core, jobs());
      await core.append(other, elsewhere);
      await core.settled([stuck, jobs()]);

      await core.stopProjectors();
      await core.startProjectors();
      expect(await stoppedAt(core, stuck)).toMatch(why);
      await expect(rebuildNow(core)).rejects.toThrow(why);
      const { faults } = await verify(core);
      expect(faults).toEqual(
        [stuck, jobs()].map(({ topic }) => expect.stringMatching(`^${topic}/0@1: .*cannot be read`)),
      );

      await withQueue(core, async (health) => {
        await until(
          () => Promise.resolve(health().stopped.length === 1),
          40_000,
          () => `the queue goes on: ${JSON.stringify(health())}`,
        );
        for (const where of [stuck, jobs()]) {
          await declareVoid(core.admin, { ...where, offset: 1, last: batch.count }, 'not ours');
        }
        await until(
          () => Promise.resolve(health().stopped.length === 0),
          40_000,
          () => `the queue is stopped: ${JSON.stringify(health())}`,
        );
      });
      const { partitions } = await askEveryJudge(core);
      expect(partitions.reduce((sum, { losers }) => sum + (losers['declared void'] ?? 0), 0)).toBe(2);
      const ids = (await core.rows<{ record_id: string }>('stream_events')).map(({ record_id }) => record_id);
      expect(ids).toEqual(expect.arrayContaining([behind.id, elsewhere.id]));
    },
    LONG_MS,
  );
});
