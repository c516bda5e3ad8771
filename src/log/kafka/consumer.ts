import type { Consumer, Kafka } from 'kafkajs';
import type { Subscription } from '../event-log.ts';
import { RETRY } from './client.ts';

export interface GroupConsumerOptions extends Pick<Subscription, 'group' | 'fetch'> {
  readonly sessionTimeoutMs?: number;
  /** Called when kafkajs is about to restart after a failure. */
  readonly mayRestart: () => boolean;
}

const MIB = 2 ** 20;

export function createGroupConsumer(kafka: Kafka, options: GroupConsumerOptions): Consumer {
  const { group, fetch = { maxBytesPerPartition: 2 * MIB, maxBytes: 16 * MIB }, sessionTimeoutMs = 10_000 } = options;
  return kafka.consumer({
    groupId: group,
    minBytes: 1,
    maxWaitTimeInMs: 200,
    maxBytesPerPartition: fetch.maxBytesPerPartition,
    maxBytes: fetch.maxBytes,
    sessionTimeout: sessionTimeoutMs,
    heartbeatInterval: sessionTimeoutMs / 5,
    rebalanceTimeout: 15_000,
    allowAutoTopicCreation: false,
    readUncommitted: true, // an open transaction would hold back all records after it
    retry: { ...RETRY, restartOnFailure: () => Promise.resolve(options.mayRestart()) },
  });
}
