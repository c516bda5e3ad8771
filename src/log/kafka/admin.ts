import kafkajs, { type Admin, type ITopicConfig, type Kafka, type PartitionMetadata } from 'kafkajs';
import { waitFor } from '../../concurrency/poll.ts';
import { retry } from '../../concurrency/retry.ts';
import { reasonOf } from '../../errors.ts';
import type { Durability, GroupMember, NewTopic, TopicDescription } from '../event-log.ts';
import { durabilityOf, flushSettings } from './durability.ts';
import { RETRY } from './client.ts';

export interface LogAdmin {
  connect(): Promise<void>;
  disconnect(): Promise<void>;
  describe(topics: readonly string[]): Promise<TopicDescription[]>;
  durability(topics: readonly string[]): Promise<Durability>;
  createTopics(topics: readonly NewTopic[]): Promise<void>;
  deleteTopics(topics: readonly string[]): Promise<void>;
  /** Members of the groups whose names are wanted. */
  members(isWanted: (group: string) => boolean): Promise<GroupMember[]>;
}

export function createLogAdmin(kafka: Kafka, flush: boolean): LogAdmin {
  const admin = kafka.admin({ retry: RETRY });
  return {
    connect: () => admin.connect(),
    disconnect: () => admin.disconnect(),
    describe: (topics) => describe(admin, topics),
    durability: (topics) => durability(admin, topics),
    createTopics: (topics) => createTopics(admin, topics, flush),
    deleteTopics: (topics) => deleteTopics(admin, topics),
    members: (isWanted) => members(admin, isWanted),
  };
}

async function members(admin: Admin, isWanted: (group: string) => boolean): Promise<GroupMember[]> {
  const { groups: all } = await admin.listGroups();
  const wanted = all.map(({ groupId }) => groupId).filter(isWanted);
  if (wanted.length === 0) return [];
  const { groups } = await admin.describeGroups(wanted);
  return groups.flatMap(({ groupId, members: found }) =>
    found.map(({ clientId, clientHost }) => ({ group: groupId, clientId, host: clientHost.replace(/^\//, '') })),
  );
}

async function describe(admin: Admin, topics: readonly string[]): Promise<TopicDescription[]> {
  const existing = await partitionsOf(admin, topics);
  const settings = await settingsOf(admin, [...existing.keys()]);
  return [...existing].map(([topic, partitions]) => ({
    topic,
    partitions: partitions.length,
    replicas: fewestReplicas(partitions),
    settings: settings.get(topic) ?? {},
  }));
}

/** The partitions of those topics that exist. */
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
    return { durable: false, why: `the brokers do not say how durable an append is: ${reasonOf(error)}` };
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

/** Resolves when the topic's partitions are served, also when another process created it first. */
async function createTopic(admin: Admin, topic: ITopicConfig): Promise<void> {
  await admin.createTopics({ topics: [topic], waitForLeaders: false, timeout: SERVED_WITHIN_MS });
  const giveUpAt = Date.now() + SERVED_WITHIN_MS;
  // A broker can take a moment to get the metadata of a topic that the controller has made; kafkajs's own wait fails then.
  const onFailure = (error: unknown) => {
    if (Date.now() > giveUpAt) throw error;
  };
  await retry(() => admin.fetchTopicOffsets(topic.topic), { pauseMs: () => LOOK_AGAIN_MS, onFailure });
}

/** Resolves when brokers no longer list the topics, because until then their names are taken. */
async function deleteTopics(admin: Admin, topics: readonly string[]): Promise<void> {
  const existing = async () => {
    const all = new Set(await admin.listTopics());
    return topics.filter((topic) => all.has(topic));
  };
  const found = await existing();
  if (found.length === 0) return;
  await admin.deleteTopics({ topics: found, timeout: SERVED_WITHIN_MS });
  const areGone = async () => (await existing()).length === 0 || undefined;
  const gone = await waitFor(areGone, { everyMs: LOOK_AGAIN_MS, withinMs: SERVED_WITHIN_MS });
  if (!gone) throw new Error(`${found.join(', ')} were deleted and still exist`);
}

function configOf({ topic, partitions, ...retention }: NewTopic, flushing: Record<string, string>): ITopicConfig {
  const settings = {
    'cleanup.policy': retention.compacted ? 'compact' : 'delete',
    'retention.ms': String(retention.retentionMs),
    'retention.bytes': '-1',
    'compression.type': 'producer',
    'message.timestamp.type': 'CreateTime',
    ...(retention.recordBytes !== undefined && { 'max.message.bytes': String(retention.recordBytes) }),
    ...flushing,
  };
  const configEntries = Object.entries(settings).map(([name, value]) => ({ name, value }));
  return { topic, numPartitions: partitions, replicationFactor: -1, configEntries };
}
