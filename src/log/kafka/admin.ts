import { setTimeout as delay } from 'node:timers/promises';
import kafkajs, { type Admin, type ITopicConfig, type Kafka, type PartitionMetadata } from 'kafkajs';
import { reasonOf } from '../../errors.ts';
import { partitionKey, type Position, type TopicPartition } from '../../events/record.ts';
import type { Durability, NewTopic, TopicDescription } from '../event-log.ts';
import { durabilityOf, flushSettings } from './durability.ts';
import { RETRY } from './client.ts';

/** Where a partition begins and where its next record will lie. */
export interface Extent {
  readonly begin: number;
  readonly end: number;
}

export interface LogAdmin {
  connect(): Promise<void>;
  disconnect(): Promise<void>;
  describe(topics: readonly string[]): Promise<TopicDescription[]>;
  durability(topics: readonly string[]): Promise<Durability>;
  createTopics(topics: readonly NewTopic[]): Promise<void>;
  ends(partitions: readonly TopicPartition[]): Promise<Position[]>;
  extent(of: TopicPartition): Promise<Extent>;
}

export function createLogAdmin(kafka: Kafka, flush: boolean): LogAdmin {
  const admin = kafka.admin({ retry: RETRY });
  return {
    connect: () => admin.connect(),
    disconnect: () => admin.disconnect(),
    describe: (topics) => describe(admin, topics),
    durability: (topics) => durability(admin, topics),
    createTopics: (topics) => createTopics(admin, topics, flush),
    ends: (partitions) => ends(admin, partitions),
    extent: async (of) => extentIn(await extentsOf(admin, of.topic), of),
  };
}

async function describe(admin: Admin, topics: readonly string[]): Promise<TopicDescription[]> {
  const existing = await partitionsOf(admin, topics);
  const settings = await settingsOf(admin, [...existing.keys()]);
  return [...existing].map(([topic, partitions]) => ({
    topic,
    partitions: partitions.length,
    settings: settings.get(topic) ?? {},
  }));
}

/** Of those topics that exist. */
async function partitionsOf(admin: Admin, topics: readonly string[]): Promise<Map<string, PartitionMetadata[]>> {
  const existing = new Set(await admin.listTopics());
  const asked = topics.filter((topic) => existing.has(topic));
  if (asked.length === 0) return new Map();
  const { topics: found } = await admin.fetchTopicMetadata({ topics: asked });
  return new Map(found.map(({ name, partitions }) => [name, partitions]));
}

async function settingsOf(admin: Admin, topics: readonly string[]): Promise<Map<string, Record<string, string>>> {
  if (topics.length === 0) return new Map();
  const type = kafkajs.ConfigResourceTypes.TOPIC;
  const { resources } = await admin.describeConfigs({
    includeSynonyms: false,
    resources: topics.map((name) => ({ type, name })),
  });
  return new Map(
    resources.map(({ resourceName, configEntries }) => [
      resourceName,
      Object.fromEntries(configEntries.map(({ configName, configValue }) => [configName, configValue])),
    ]),
  );
}

async function durability(admin: Admin, topics: readonly string[]): Promise<Durability> {
  try {
    const existing = await partitionsOf(admin, topics);
    const settings = await settingsOf(admin, [...existing.keys()]);
    return durabilityOf(
      topics.map((topic) => ({ replicas: fewestReplicas(existing.get(topic)), settings: settings.get(topic) ?? {} })),
    );
  } catch (error) {
    return { durable: false, why: `the brokers do not tell how they keep an append: ${reasonOf(error)}` };
  }
}

const fewestReplicas = (partitions: readonly PartitionMetadata[] = []): number =>
  partitions.length === 0 ? 0 : Math.min(...partitions.map(({ replicas }) => replicas.length));

async function createTopics(admin: Admin, topics: readonly NewTopic[], flush: boolean): Promise<void> {
  const existing = new Set(await admin.listTopics());
  const missing = topics.filter(({ topic }) => !existing.has(topic));
  if (missing.length === 0) return;
  const { clusterId } = await admin.describeCluster();
  for (const topic of missing) await createTopic(admin, configOf(topic, flushSettings(clusterId, flush)));
}

const SERVED_WITHIN_MS = 10_000;
const LOOK_AGAIN_MS = 50;

/** Resolves when its partitions are served, also when somebody else was faster. */
async function createTopic(admin: Admin, topic: ITopicConfig): Promise<void> {
  await admin.createTopics({ topics: [topic], waitForLeaders: false, timeout: SERVED_WITHIN_MS });
  for (const giveUpAt = Date.now() + SERVED_WITHIN_MS; ;) {
    try {
      await admin.fetchTopicOffsets(topic.topic);
      return;
    } catch (error) {
      // A broker can take a moment to learn of a topic that the controller has made; kafkajs's own wait fails then.
      if (Date.now() > giveUpAt) throw error;
    }
    await delay(LOOK_AGAIN_MS);
  }
}

function configOf({ topic, partitions, retentionMs }: NewTopic, flushing: Record<string, string>): ITopicConfig {
  const settings = {
    'cleanup.policy': 'delete',
    'retention.ms': String(retentionMs),
    'retention.bytes': '-1',
    ...flushing,
  };
  const configEntries = Object.entries(settings).map(([name, value]) => ({ name, value }));
  return { topic, numPartitions: partitions, replicationFactor: -1, configEntries };
}

async function ends(admin: Admin, partitions: readonly TopicPartition[]): Promise<Position[]> {
  const topics = new Set(partitions.map(({ topic }) => topic));
  const found = await Promise.all([...topics].map((topic) => extentsOf(admin, topic)));
  const extents = new Map(found.flatMap((topic) => [...topic]));
  return partitions.map(({ topic, partition }) => ({
    topic,
    partition,
    offset: extentIn(extents, { topic, partition }).end,
  }));
}

async function extentsOf(admin: Admin, topic: string): Promise<Map<string, Extent>> {
  const offsets = await admin.fetchTopicOffsets(topic);
  return new Map(
    offsets.map(({ partition, low, high }) => [
      partitionKey({ topic, partition }),
      { begin: Number(low), end: Number(high) },
    ]),
  );
}

function extentIn(extents: ReadonlyMap<string, Extent>, of: TopicPartition): Extent {
  const extent = extents.get(partitionKey(of));
  if (!extent) throw new Error(`there is no ${partitionKey(of)}`);
  return extent;
}
