import { createRequire } from 'node:module';
import { partitionKey, type TopicPartition } from '../../events/record.ts';
import type { RawBlank } from './record-batch.ts';

/** A broker's error for one partition of a fetch; `type` is Kafka's name of it. */
export interface BrokerError extends Error {
  readonly type: string;
  readonly code: number;
  readonly retriable: boolean;
}

const load = createRequire(import.meta.url);
const { createErrorFromCode } = load('kafkajs/src/protocol/error') as {
  createErrorFromCode: (code: number) => BrokerError;
};

const [NONE, OFFSET_OUT_OF_RANGE, NOT_LEADER] = [0, 1, 6];
/** The broker cannot read its own disk: damaged bytes at the start of a batch, or an unexpected error. */
const DAMAGES = ['CORRUPT_MESSAGE', 'UNKNOWN'];
/** After these errors kafkajs refreshes its metadata. After other retryable errors it would restart the whole consumer. */
const LEADS_ELSEWHERE = new Set([
  'UNKNOWN_TOPIC_OR_PARTITION',
  'LEADER_NOT_AVAILABLE',
  'NOT_LEADER_FOR_PARTITION',
  'FENCED_LEADER_EPOCH',
  'UNKNOWN_LEADER_EPOCH',
]);

export const isDamage = ({ type }: BrokerError): boolean => DAMAGES.includes(type);

/** How often in a row an error of a partition is deferred in favour of the records of other partitions. */
const MAX_DEFERRALS = 20;
const deferrals = new Map<string, number>();

/** How an error is handled: `errorCode` is left to kafkajs, `error` stops only the partition. */
interface ErrorHandling {
  readonly errorCode: number;
  readonly error?: BrokerError;
}

/**
 * A retryable error is deferred while other partitions of the response have records, because kafkajs would drop those; it comes
 * again with the next fetch. Any other error stops only its partition.
 */
export function handleError(code: number, where: TopicPartition, othersHaveRecords: boolean): ErrorHandling {
  const key = partitionKey(where);
  if (code === NONE) {
    deferrals.delete(key);
    return { errorCode: NONE };
  }
  const error = createErrorFromCode(code);
  const isRetried = code === OFFSET_OUT_OF_RANGE || (error.retriable && !isDamage(error));
  if (!isRetried) return { errorCode: NONE, error };
  const times = deferrals.get(key) ?? 0;
  if (othersHaveRecords && times < MAX_DEFERRALS) {
    deferrals.set(key, times + 1);
    return { errorCode: NONE };
  }
  deferrals.delete(key);
  return { errorCode: code === OFFSET_OUT_OF_RANGE || LEADS_ELSEWHERE.has(error.type) ? code : NOT_LEADER };
}

/** The entry for offsets that the broker answers with an error. */
export function refusal({ type, message }: BrokerError, offset: number, last: number): RawBlank {
  const where = offset === last ? `offset ${offset}` : `offsets ${offset} to ${last}`;
  return {
    blank: 'unreadable',
    offset,
    last,
    leaderEpoch: 0,
    reason: `the broker does not show ${where}: ${type}, ${message}`,
  };
}
