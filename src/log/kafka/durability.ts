import type { Durability } from '../event-log.ts';

export interface KeptTopic {
  /** Of the partition that has the fewest; 0 where the topic does not exist. */
  readonly replicas: number;
  /** As the brokers describe them: what they do not know is missing. */
  readonly settings: Readonly<Record<string, string | undefined>>;
}

/**
 * What a new topic is given so that an append to it is on disk before it is acknowledged. Redpanda does so unless
 * `write.caching` is on, which a cluster can have as its default; it accepts `flush.messages` and ignores it.
 */
export function flushSettings(clusterId: string | null, flush: boolean): Record<string, string> {
  if (isRedpanda(clusterId)) return { 'write.caching': 'false' };
  return flush ? { 'flush.messages': '1' } : {};
}

/** Redpanda puts this before every cluster id, one that was configured included, to be told from Kafka by it. */
const isRedpanda = (clusterId: string | null): boolean => clusterId?.startsWith('redpanda.') ?? false;

const notDurable = (why: string): Durability => ({ durable: false, why });

/** Whether an acknowledged append survives a power cut. What is not known for every topic does not count. */
export function durabilityOf(topics: readonly KeptTopic[]): Durability {
  if (topics.length === 0 || topics.some(({ replicas }) => replicas === 0))
    return notDurable('the topics do not exist');
  if (topics.every(isReplicated)) return { durable: true, why: 'replicated: two brokers or more have every append' };
  if (topics.every(isFlushed)) return { durable: true, why: 'every append is flushed to disk' };
  if (topics.some(isCached)) return notDurable('the brokers acknowledge from memory, because write.caching is on');
  if (topics.some(isUnknown)) return notDurable('the brokers do not tell when they flush an append to disk');
  return notDurable('one broker acknowledges from its page cache: kill -9 of it loses nothing, a power cut can');
}

const isReplicated = ({ replicas, settings }: KeptTopic): boolean =>
  replicas >= 2 && Number(settings['min.insync.replicas'] ?? 0) >= 2;

/** A cluster of Redpanda on which nobody may turn write caching on says `disabled`. */
const isFlushed = ({ settings }: KeptTopic): boolean =>
  settings['flush.messages'] === '1' || ['false', 'disabled'].includes(settings['write.caching'] ?? '');

const isCached = ({ settings }: KeptTopic): boolean => settings['write.caching'] === 'true';

const isUnknown = (topic: KeptTopic): boolean => topic.settings['flush.messages'] === undefined && !isFlushed(topic);
