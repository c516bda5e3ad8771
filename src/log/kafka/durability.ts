import type { Durability } from '../event-log.ts';

export interface TopicDurability {
  /** Replicas of the partition that has the fewest; 0 where the topic does not exist. */
  readonly replicas: number;
  /** As the brokers describe them; a setting that they do not support is missing. */
  readonly settings: Readonly<Record<string, string | undefined>>;
}

/**
 * Settings of a new topic that put an append on disk before it is acknowledged. Redpanda does so unless `write.caching` is on, which
 * can be a cluster's default; it accepts `flush.messages` and ignores it.
 */
export function flushSettings(clusterId: string | null, flush: boolean): Record<string, string> {
  if (isRedpanda(clusterId)) return { 'write.caching': 'false' };
  return flush ? { 'flush.messages': '1' } : {};
}

/** Redpanda prefixes every cluster id with this, a configured one too, to be distinguishable from Kafka. */
const isRedpanda = (clusterId: string | null): boolean => clusterId?.startsWith('redpanda.') ?? false;

const notDurable = (why: string): Durability => ({ durable: false, why });

/** Whether an acknowledged append survives a power cut. It counts only if it holds for every topic. */
export function durabilityOf(topics: readonly TopicDurability[]): Durability {
  if (topics.length === 0 || topics.some(({ replicas }) => replicas === 0))
    return notDurable('the topics do not exist');
  if (topics.every(isReplicated)) return { durable: true, why: 'replicated: two brokers or more have every append' };
  if (topics.every(isFlushed)) return { durable: true, why: 'every append is flushed to disk' };
  if (topics.some(isCached)) return notDurable('the brokers acknowledge from memory, because write.caching is on');
  if (topics.some(isUnknown)) return notDurable('the brokers do not say when they flush an append to disk');
  return notDurable('one broker acknowledges from its page cache: kill -9 of it loses nothing, a power cut can');
}

const isReplicated = ({ replicas, settings }: TopicDurability): boolean =>
  replicas >= 2 && Number(settings['min.insync.replicas'] ?? 0) >= 2;

/** A Redpanda cluster reports `disabled` where write caching must not be turned on. */
const isFlushed = ({ settings }: TopicDurability): boolean =>
  settings['flush.messages'] === '1' || ['false', 'disabled'].includes(settings['write.caching'] ?? '');

const isCached = ({ settings }: TopicDurability): boolean => settings['write.caching'] === 'true';

const isUnknown = (topic: TopicDurability): boolean =>
  topic.settings['flush.messages'] === undefined && !isFlushed(topic);
