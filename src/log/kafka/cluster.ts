import type { Kafka } from 'kafkajs';
import type { FetchedRecord } from './stored-record.ts';

/** The inside of kafkajs on which its own consumer is built; there is no other way to fetch without a group. */
export interface Cluster {
  connect(): Promise<void>;
  disconnect(): Promise<void>;
  isConnected(): boolean;
  addTargetTopic(topic: string): Promise<void>;
  refreshMetadata(): Promise<void>;
  refreshMetadataIfNecessary(): Promise<void>;
  /** Partitions by the id of the node that leads them; one without metadata is missing. */
  findLeaderForPartitions(topic: string, partitions: number[]): Record<string, number[]>;
  findBroker(node: { nodeId: string }): Promise<Broker>;
  removeBroker(address: { host: string; port: number }): void;
}

export interface Broker {
  fetch(request: FetchRequest): Promise<{ responses: { topicName: string; partitions: FetchedPartition[] }[] }>;
}

interface FetchRequest {
  maxWaitTime: number;
  minBytes: number;
  maxBytes: number;
  /** 0: read uncommitted. */
  isolationLevel: number;
  topics: { topic: string; partitions: { partition: number; fetchOffset: string; maxBytes: number }[] }[];
}

interface FetchedPartition {
  partition: number;
  messages: (FetchedRecord & { isControlRecord?: boolean })[];
}

const FACTORY = 'private:Kafka:createCluster';

/** A cluster of connections of its own, as kafkajs makes one for each producer and consumer. */
export function createCluster(kafka: Kafka): Cluster {
  const key = Object.getOwnPropertySymbols(kafka).find(({ description }) => description === FACTORY);
  const create: unknown = key && Reflect.get(kafka, key);
  if (typeof create !== 'function') throw new Error(`this kafkajs has no ${FACTORY}`);
  return (create as (options: object) => Cluster)({ allowAutoTopicCreation: false, metadataMaxAge: 300_000 });
}
