import { afterEach, expect, it } from '@jest/globals';
import {
  type RedpandaStandIn,
  startRedpandaStandIn,
  type WriteCachingDefault,
} from '../../../test/support/redpanda-stand-in.ts';
import { createLogAdmin, type LogAdmin } from './admin.ts';
import { createClient } from './client.ts';

const closing: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

async function onRedpanda(byDefault: WriteCachingDefault, flush = true): Promise<[LogAdmin, RedpandaStandIn]> {
  const redpanda = await startRedpandaStandIn(byDefault);
  const client = createClient({ brokers: redpanda.brokers, clientId: 'test', logger: () => undefined });
  const admin = createLogAdmin(client.kafka, flush);
  await admin.connect();
  closing.push(
    () => redpanda.close(),
    () => client.destroy(),
    () => admin.disconnect(),
  );
  return [admin, redpanda];
}

const topic = { topic: 'a.catalog', partitions: 3, retentionMs: -1 };
const retention = { 'cleanup.policy': 'delete', 'retention.ms': '-1', 'retention.bytes': '-1' };
const asSent = { 'compression.type': 'producer', 'message.timestamp.type': 'CreateTime' };

it.each([true, false])(
  'turns write caching off on Redpanda, and asks for no flush (KAFKA_FLUSH: %s)',
  async (flush) => {
    const [admin, redpanda] = await onRedpanda('true', flush);
    await admin.createTopics([topic]);
    const settings = { ...retention, ...asSent, 'write.caching': 'false' };
    expect([...redpanda.topics]).toEqual([[topic.topic, { partitions: 3, replicas: -1, settings }]]);
    expect(await admin.describe([topic.topic])).toMatchObject([
      { topic: topic.topic, partitions: 3, settings: retention },
    ]);
    expect(await admin.durability([topic.topic])).toEqual({ durable: true, why: 'every append is flushed to disk' });
  },
);

it.each([
  ['true', false],
  ['false', true],
  ['disabled', true],
] as const)('takes a topic of Redpanda as it is: write.caching=%s', async (byDefault, durable) => {
  const [admin, redpanda] = await onRedpanda(byDefault);
  redpanda.topics.set('by-hand', { partitions: 1, replicas: 1, settings: { 'flush.messages': '1' } });
  expect((await admin.durability(['by-hand'])).durable).toBe(durable);
});
