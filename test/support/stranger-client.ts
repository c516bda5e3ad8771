import type { Admin, Producer } from 'kafkajs';
import type { LogRecord, TopicPartition } from '../../src/events/record.ts';
import { createClient } from '../../src/log/kafka/client.ts';
import { until } from './servers/waiting.ts';

/** Another program at the brokers, which need not follow our rules. */
export interface StrangerClient {
  produce(where: TopicPartition, ...records: readonly LogRecord[]): Promise<void>;
  /** The next offset. */
  end(where: TopicPartition): Promise<number>;
  /** Kafka's DeleteRecords. */
  deleteBefore(where: TopicPartition, offset: number): Promise<void>;
  /** Deletes the topic and makes an empty one by the same name, with the same settings. */
  recreate(topic: string): Promise<void>;
  close(): Promise<void>;
}

export async function openStrangerClient(brokers: readonly string[]): Promise<StrangerClient> {
  const client = createClient({ brokers, clientId: 'outsider', logger: () => undefined });
  const admin = client.kafka.admin();
  const producer = client.kafka.producer({ allowAutoTopicCreation: false, createPartitioner: () => asTold });
  await Promise.all([admin.connect(), producer.connect()]);
  return {
    ...workOf(admin, producer),
    async close() {
      await Promise.all([admin.disconnect(), producer.disconnect()]);
      client.destroy();
    },
  };
}

const asTold = ({ message: { partition = 0 } }: { message: { partition?: number } }) => partition;

function workOf(admin: Admin, producer: Producer): Omit<StrangerClient, 'close'> {
  const offsets = async ({ topic, partition }: TopicPartition) =>
    (await admin.fetchTopicOffsets(topic)).find((each) => each.partition === partition);
  return {
    async produce({ topic, partition }, ...records) {
      await producer.send({ topic, acks: -1, messages: records.map((record) => ({ ...record, partition })) });
    },
    end: async (where) => Number((await offsets(where))?.high),
    async deleteBefore({ topic, partition }, offset) {
      await admin.fetchTopicOffsets(topic); // kafkajs deletes records only of topics in its metadata
      await admin.deleteTopicRecords({ topic, partitions: [{ partition, offset: String(offset) }] });
    },
    recreate: (topic) => recreate(admin, topic),
  };
}

async function recreate(admin: Admin, topic: string): Promise<void> {
  const { topics } = await admin.fetchTopicMetadata({ topics: [topic] });
  const numPartitions = topics[0]?.partitions.length;
  const settings = { 'cleanup.policy': 'delete', 'retention.ms': '-1', 'retention.bytes': '-1' };
  const configEntries = Object.entries(settings).map(([name, value]) => ({ name, value }));
  await admin.deleteTopics({ topics: [topic] });
  const create = () => admin.createTopics({ topics: [{ topic, numPartitions, configEntries }], waitForLeaders: true });
  // The name is free a moment after the deletion was confirmed.
  await until(
    () => create().catch(() => false),
    30_000,
    () => `${topic} cannot be made again`,
  );
}
