import type { Kafka } from 'kafkajs';
import { shareRunning } from '../../concurrency/single-flight.ts';
import type { FetchedMessage } from './fetch-response.ts';

/** The internal interface of kafkajs on which its consumer is built. There is no other way to fetch without a group. */
export interface Cluster {
  connect(): Promise<void>;
  disconnect(): Promise<void>;
  isConnected(): boolean;
  addMultipleTargetTopics(topics: string[]): Promise<void>;
  refreshMetadata(): Promise<void>;
  refreshMetadataIfNecessary(): Promise<void>;
  /** Partitions by the id of the node that leads them; one without metadata is missing. */
  findLeaderForPartitions(topic: string, partitions: number[]): Record<string, number[]>;
  /** The first or the next offset of each partition, at the cluster's isolation level. */
  fetchTopicsOffset(
    of: OffsetsRequest[],
  ): Promise<{ topic: string; partitions: { partition: number; offset: string }[] }[]>;
  findBroker(node: { nodeId: string }): Promise<Broker>;
  removeBroker(address: { host: string; port: number }): void;
}

interface OffsetsRequest {
  topic: string;
  partitions: { partition: number }[];
  fromBeginning: boolean;
}

export interface Broker {
  fetch(request: FetchRequest): Promise<{ responses: { topicName: string; partitions: FetchedPartition[] }[] }>;
}

interface FetchRequest {
  maxWaitTime: number;
  minBytes: number;
  maxBytes: number;
  isolationLevel: number;
  topics: { topic: string; partitions: { partition: number; fetchOffset: string; maxBytes: number }[] }[];
}

interface FetchedPartition {
  partition: number;
  highWatermark: string;
  messages: FetchedMessage[];
}

/**
 * Reads everything up to the high watermark, like a consumer that reads uncommitted. kafkajs's default stops before the first open
 * transaction, both for fetches and for a partition's end.
 */
export const READ_UNCOMMITTED = 0;

const FACTORY = 'private:Kafka:createCluster';

/** A cluster of connections of its own, as kafkajs makes one for each producer and consumer. */
export function createCluster(kafka: Kafka): Cluster {
  const key = Object.getOwnPropertySymbols(kafka).find(({ description }) => description === FACTORY);
  const create: unknown = key && Reflect.get(kafka, key);
  if (typeof create !== 'function') throw new Error(`this kafkajs has no ${FACTORY}`);
  const options = { allowAutoTopicCreation: false, metadataMaxAge: 300_000, isolationLevel: READ_UNCOMMITTED };
  const cluster = (create as (options: object) => Cluster)(options);
  // Two concurrent connects would leave a connection open that nothing closes.
  cluster.connect = shareRunning(cluster.connect.bind(cluster));
  return cluster;
}
