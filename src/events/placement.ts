import type { Category } from './events.ts';
import { categoryOf } from './ids.ts';
import { likedIn } from './likes.ts';
import type { TopicPartition } from './record.ts';

/** The topics whose records are arbitrated, without the namespace, and the categories of streams of each. */
const TOPICS = {
  catalog: ['album', 'song'],
  playlists: ['playlist'],
  likes: ['like'],
  jobs: ['job'],
} as const satisfies Record<string, readonly Category[]>;

export type EventTopic = keyof typeof TOPICS;
export const EVENT_TOPICS = Object.keys(TOPICS) as EventTopic[];
const TOPIC_OF_CATEGORY = new Map<string, EventTopic>(
  EVENT_TOPICS.flatMap((topic) => TOPICS[topic].map((category) => [category, topic] as const)),
);

export const topicOf = (namespace: string, topic: EventTopic): string => `${namespace}.${topic}`;

/** Computes the partition of a stream. Client libraries of the log get it explicitly and never compute it themselves. */
export interface Placement {
  readonly namespace: string;
  /** Partitions of every event topic. */
  readonly partitions: number;
  /** The event topics with their namespace. */
  readonly topics: readonly string[];
  /** Every partition of every event topic. */
  readonly all: readonly TopicPartition[];
  /** Throws for a stream of no known category. */
  place(stream: string): TopicPartition;
  /** Whether the partition is that of the stream. */
  belongs(stream: string, where: TopicPartition): boolean;
  /** The stream of a partition's first record. */
  genesisOf(where: TopicPartition): string;
}

export function createPlacement(namespace: string, partitions: number): Placement {
  const topics = EVENT_TOPICS.map((topic) => topicOf(namespace, topic));
  const find = (stream: string): TopicPartition | undefined => {
    const topic = TOPIC_OF_CATEGORY.get(categoryOf(stream));
    return topic === undefined
      ? undefined
      : { topic: topicOf(namespace, topic), partition: partitionOf(stream, partitions) };
  };
  const genesisOf = ({ topic, partition }: TopicPartition) => `genesis-${topic}-${partition}`;
  return {
    namespace,
    partitions,
    topics,
    all: topics.flatMap((topic) => Array.from({ length: partitions }, (_, partition) => ({ topic, partition }))),
    genesisOf,
    place(stream) {
      const found = find(stream);
      if (!found) throw new Error(`There is no topic for streams like ${stream}.`);
      return found;
    },
    belongs(stream, where) {
      if (stream === genesisOf(where)) return true;
      const home = find(stream);
      return home?.topic === where.topic && home.partition === where.partition;
    },
  };
}

/** `(murmur2 & 0x7fffffff) % n` of the stream id, as Kafka's default partitioner; of the liked thing's id for likes. */
export function partitionOf(stream: string, partitions: number): number {
  return (murmur2(Buffer.from(hashedPart(stream))) & 0x7fffffff) % partitions;
}

/** A like goes to the partition of the liked thing's id, so that one projector counts all likes of it. */
const hashedPart = (stream: string): string => likedIn(stream) ?? stream;

/** Austin Appleby's 32-bit murmur2 with Kafka's seed (org.apache.kafka.common.utils.Utils#murmur2), signed. */
export function murmur2(data: Buffer): number {
  const m = 0x5bd1e995;
  const whole = data.length & ~3;
  let h = 0x9747b28c ^ data.length;
  for (let i = 0; i < whole; i += 4) {
    let k = Math.imul(data.readInt32LE(i), m);
    k = Math.imul(k ^ (k >>> 24), m);
    h = Math.imul(h, m) ^ k;
  }
  for (let i = data.length - 1; i >= whole; i--) h ^= data.readUInt8(i) << (8 * (i - whole));
  if (data.length > whole) h = Math.imul(h, m);
  h = Math.imul(h ^ (h >>> 13), m);
  return h ^ (h >>> 15);
}
