import type { Kafka } from 'kafkajs';
import { retry } from '../../concurrency/retry.ts';
import { partitionKey, showPosition, type Position, type TopicPartition } from '../../events/record.ts';
import { beginningAt, type LogEntry, missing } from '../entry.ts';
import { type BrokerError, isDamage, refusal } from './broker-error.ts';
import { pauseMs } from './client.ts';
import { createCluster, READ_UNCOMMITTED, type Broker, type Cluster } from './cluster.ts';
import { failureOf } from './failure.ts';
import type { FetchedMessage } from './fetch-response.ts';
import { entryOf } from './stored-record.ts';

export interface PartitionReader {
  /**
   * Rejects with `type` OFFSET_OUT_OF_RANGE as the cause for an offset outside of the log. Offsets that the broker cannot read from
   * its disk are one entry, up to the next offset that can be read.
   */
  read(from: Position, maxBytes: number): Promise<LogEntry[]>;
  /** The first offset of each partition that is not deleted. */
  begins(partitions: readonly TopicPartition[]): Promise<Position[]>;
  /** The high watermark of each partition. Every record below it is in the log, committed or not. */
  ends(partitions: readonly TopicPartition[]): Promise<Position[]>;
  disconnect(): Promise<void>;
}

const TRIES = 6;

/** Fetches from a partition's leader, without a group and without waiting for records. */
export function createReader(kafka: Kafka): PartitionReader {
  const cluster = createCluster(kafka);
  return {
    read: (from, maxBytes) => retried(cluster, () => readFrom(cluster, from, maxBytes)),
    begins: (partitions) => retried(cluster, () => offsetsOf(cluster, partitions, true)),
    ends: (partitions) => retried(cluster, () => offsetsOf(cluster, partitions, false)),
    disconnect: () => cluster.disconnect(),
  };
}

/** Leaders move and brokers restart, so each further try first asks which broker leads. */
function retried<T>(cluster: Cluster, work: () => Promise<T>): Promise<T> {
  let failure: unknown;
  const attempt = async () => {
    if (failure !== undefined) await forgetLeaders(cluster, failure);
    return work();
  };
  const onFailure = (error: unknown, tries: number) => {
    if (tries === TRIES || !failureOf(error).retriable) throw error;
    failure = error;
  };
  return retry(attempt, { pauseMs, onFailure });
}

/** A failure here is ignored, because the next try fails in the same way and reports it. */
async function forgetLeaders(cluster: Cluster, error: unknown): Promise<void> {
  if (isAddress(error)) cluster.removeBroker(error);
  await cluster.refreshMetadata().catch(() => undefined);
}

const isAddress = (error: unknown): error is { host: string; port: number } =>
  error instanceof Error && 'host' in error && 'port' in error;

/** Loads the metadata, again where a partition is missing: its topic may have been given more partitions since. */
async function loadMetadata(cluster: Cluster, partitions: readonly TopicPartition[]): Promise<void> {
  if (!cluster.isConnected()) await cluster.connect();
  await cluster.addMultipleTargetTopics([...new Set(partitions.map(({ topic }) => topic))]);
  await cluster.refreshMetadataIfNecessary();
  if (!partitions.every((each) => leaderIdOf(cluster, each))) await cluster.refreshMetadata();
}

const leaderIdOf = (cluster: Cluster, { topic, partition }: TopicPartition): string | undefined =>
  Object.keys(cluster.findLeaderForPartitions(topic, [partition]))[0];

async function offsetsOf(
  cluster: Cluster,
  partitions: readonly TopicPartition[],
  fromBeginning: boolean,
): Promise<Position[]> {
  if (partitions.length === 0) return [];
  const byTopic = Map.groupBy(partitions, ({ topic }) => topic);
  await loadMetadata(cluster, partitions);
  const found = await cluster.fetchTopicsOffset(
    [...byTopic].map(([topic, of]) => ({
      topic,
      fromBeginning,
      partitions: of.map(({ partition }) => ({ partition })),
    })),
  );
  const offsets = new Map(
    found.flatMap(({ topic, partitions: of }) =>
      of.map(({ partition, offset }) => [partitionKey({ topic, partition }), Number(offset)]),
    ),
  );
  return partitions.map(({ topic, partition }) => {
    const offset = offsets.get(partitionKey({ topic, partition }));
    if (offset === undefined) throw new Error(`there is no ${partitionKey({ topic, partition })}`);
    return { topic, partition, offset };
  });
}

async function leaderOf(cluster: Cluster, where: TopicPartition): Promise<Broker> {
  await loadMetadata(cluster, [where]);
  const nodeId = leaderIdOf(cluster, where);
  if (nodeId === undefined) throw new Error(`${where.topic} has no partition ${where.partition}`);
  return cluster.findBroker({ nodeId });
}

async function readFrom(cluster: Cluster, from: Position, maxBytes: number): Promise<LogEntry[]> {
  const leader = await leaderOf(cluster, from);
  const { messages, end } = await fetchFrom(leader, from, maxBytes);
  const error = messages[0]?.error;
  if (error && !isDamage(error)) throw error;
  if (error) {
    const [{ offset: last } = from] = await offsetsOf(cluster, [from], false); // an error response does not name the end
    return [await damageAt(leader, from, last, error)];
  }
  // A fetch of one partition returns at least one batch, if there is one below the end.
  if (messages.length === 0 && from.offset < end) return [missing(from, from.offset, end - 1)];
  return messages.flatMap((message) => beginningAt(entryOf(from, message), from.offset) ?? []); // a batch is returned whole
}

async function damageAt(leader: Broker, from: Position, end: number, error: BrokerError): Promise<LogEntry> {
  const { topic, partition, offset } = from;
  const isShown = async (at: number) => {
    const { messages } = await fetchFrom(leader, { topic, partition, offset: at }, 1);
    return messages[0]?.error === undefined;
  };
  const next = await nextShown(isShown, offset, Math.max(end, offset + 1));
  return { topic, partition, ...refusal(error, offset, next - 1) };
}

/** How many offsets after damaged bytes are tried one by one. */
const TRIED_SINGLY = 1_000;

/**
 * The first offset after `from` that the broker can read, or the end. The broker finds a batch by an index entry every few kilobytes
 * and reads on from there, so damaged bytes make all batches up to the next index entry unreadable.
 */
async function nextShown(isShown: (at: number) => Promise<boolean>, from: number, end: number): Promise<number> {
  let hidden = from;
  while (hidden + 1 < end && hidden - from < TRIED_SINGLY) {
    if (await isShown(hidden + 1)) return hidden + 1;
    hidden++;
  }
  for (let shown = end; ;) {
    if (shown - hidden <= 1) return shown;
    const middle = Math.floor((hidden + shown) / 2);
    if (await isShown(middle)) shown = middle;
    else hidden = middle;
  }
}

async function fetchFrom(
  leader: Broker,
  from: Position,
  maxBytes: number,
): Promise<{ messages: FetchedMessage[]; end: number }> {
  const partitions = [{ partition: from.partition, fetchOffset: String(from.offset), maxBytes }];
  const { responses } = await leader.fetch({
    maxWaitTime: 0,
    minBytes: 0,
    maxBytes,
    isolationLevel: READ_UNCOMMITTED,
    topics: [{ topic: from.topic, partitions }],
  });
  const fetched = responses.flatMap((response) => response.partitions);
  if (fetched.length === 0) throw new Error(`no answer for ${showPosition(from)}`);
  return { messages: fetched.flatMap(({ messages }) => messages), end: Number(fetched[0]?.highWatermark) };
}
