import { setTimeout as delay } from 'node:timers/promises';
import type { Kafka } from 'kafkajs';
import { showPosition, type Position, type StoredRecord } from '../../events/record.ts';
import { RETRY } from './client.ts';
import { createCluster, type Broker, type Cluster } from './cluster.ts';
import { failureOf } from './failure.ts';
import { toStoredRecord } from './stored-record.ts';

export interface Reader {
  /** Rejects with `type` OFFSET_OUT_OF_RANGE as the cause where the log does not reach. */
  read(from: Position, maxBytes: number): Promise<StoredRecord[]>;
  disconnect(): Promise<void>;
}

const TRIES = 6;

/** Fetches from a partition's leader, without a group and without waiting for records. */
export function createReader(kafka: Kafka): Reader {
  const cluster = createCluster(kafka);
  return {
    read: (from, maxBytes) => retried(cluster, async () => fetchFrom(await leaderOf(cluster, from), from, maxBytes)),
    disconnect: () => cluster.disconnect(),
  };
}

/** Leaders move and brokers restart: each further try asks anew who leads. */
async function retried<T>(cluster: Cluster, work: () => Promise<T>): Promise<T> {
  for (let tries = 1; ; tries++) {
    try {
      return await work();
    } catch (error) {
      if (tries === TRIES || !failureOf(error).retriable) throw error;
      await delay(RETRY.initialRetryTime * 2 ** tries);
      await forgetLeaders(cluster, error);
    }
  }
}

/** What fails here fails again in the next try, which reports it. */
async function forgetLeaders(cluster: Cluster, error: unknown): Promise<void> {
  if (isAddress(error)) cluster.removeBroker(error);
  await cluster.refreshMetadata().catch(() => undefined);
}

const isAddress = (error: unknown): error is { host: string; port: number } =>
  error instanceof Error && 'host' in error && 'port' in error;

async function leaderOf(cluster: Cluster, { topic, partition }: Position): Promise<Broker> {
  if (!cluster.isConnected()) await cluster.connect();
  await cluster.addTargetTopic(topic);
  await cluster.refreshMetadataIfNecessary();
  const [nodeId] = Object.keys(cluster.findLeaderForPartitions(topic, [partition]));
  if (nodeId === undefined) throw new Error(`${topic} has no partition ${partition}`);
  return cluster.findBroker({ nodeId });
}

async function fetchFrom(leader: Broker, from: Position, maxBytes: number): Promise<StoredRecord[]> {
  const partitions = [{ partition: from.partition, fetchOffset: String(from.offset), maxBytes }];
  const { responses } = await leader.fetch({
    ...{ maxWaitTime: 0, minBytes: 0, maxBytes, isolationLevel: 0 },
    topics: [{ topic: from.topic, partitions }],
  });
  const fetched = responses.flatMap((response) => response.partitions);
  if (fetched.length === 0) throw new Error(`no answer for ${showPosition(from)}`);
  return fetched
    .flatMap(({ messages }) => messages)
    .filter((record) => record.isControlRecord !== true)
    .map((record) => toStoredRecord(from, record))
    .filter(({ offset }) => offset >= from.offset); // a compressed batch comes whole
}
