import type { Durability } from '../event-log.ts';

export interface KeptTopic {
  /** Of the partition that has the fewest; 0 where the topic does not exist. */
  readonly replicas: number;
  readonly settings: Readonly<Record<string, string | undefined>>;
}

const notDurable = (why: string): Durability => ({ durable: false, why });

/** Whether an acknowledged append survives a power cut. What is not known for every topic does not count. */
export function durabilityOf(topics: readonly KeptTopic[]): Durability {
  if (topics.length === 0 || topics.some(({ replicas }) => replicas === 0))
    return notDurable('the topics do not exist');
  if (topics.every(isReplicated)) return { durable: true, why: 'replicated: two brokers or more have every append' };
  if (topics.every(isFlushed)) return { durable: true, why: 'every append is flushed to disk' };
  return notDurable('one broker acknowledges from its page cache: kill -9 of it loses nothing, a power cut can');
}

const isReplicated = ({ replicas, settings }: KeptTopic): boolean =>
  replicas >= 2 && Number(settings['min.insync.replicas'] ?? 0) >= 2;

const isFlushed = ({ settings }: KeptTopic): boolean => settings['flush.messages'] === '1';
