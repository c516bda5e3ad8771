import { createRequire } from 'node:module';
import { partitionKey, type TopicPartition } from '../../events/record.ts';
import type { RawBlank } from './record-batch.ts';

/** An error that a broker answers with for one partition of a fetch; `type` is Kafka's name of it. */
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
/** The broker cannot read its own disk: damaged bytes where a batch begins, or what it has not foreseen. */
const DAMAGES = ['CORRUPT_MESSAGE', 'UNKNOWN'];
/** After these kafkajs asks anew who leads; after others that can be tried again it would begin anew altogether. */
const LEADS_ELSEWHERE = new Set([
  ...['UNKNOWN_TOPIC_OR_PARTITION', 'LEADER_NOT_AVAILABLE', 'NOT_LEADER_FOR_PARTITION'],
  ...['FENCED_LEADER_EPOCH', 'UNKNOWN_LEADER_EPOCH'],
]);

export const isDamage = ({ type }: BrokerError): boolean => DAMAGES.includes(type);

/** How often in a row an error of a partition is put off for what others have brought. */
const PUT_OFF_MOST = 20;
const putOff = new Map<string, number>();

/** What is made of an error: `errorCode` is for kafkajs to deal with, `error` stops the partition alone. */
interface Fate {
  readonly errorCode: number;
  readonly error?: BrokerError;
}

/**
 * An error that can be tried again is put off while other partitions of the response have brought something, because kafkajs
 * would throw that away; it comes again with the next fetch. One that cannot is a matter of its partition alone.
 */
export function fateOf(code: number, where: TopicPartition, othersBrought: boolean): Fate {
  const key = partitionKey(where);
  if (code === NONE) {
    putOff.delete(key);
    return { errorCode: NONE };
  }
  const error = createErrorFromCode(code);
  const isRetried = code === OFFSET_OUT_OF_RANGE || (error.retriable && !isDamage(error));
  if (!isRetried) return { errorCode: NONE, error };
  const times = putOff.get(key) ?? 0;
  if (othersBrought && times < PUT_OFF_MOST) {
    putOff.set(key, times + 1);
    return { errorCode: NONE };
  }
  putOff.delete(key);
  return { errorCode: code === OFFSET_OUT_OF_RANGE || LEADS_ELSEWHERE.has(error.type) ? code : NOT_LEADER };
}

/** What stands at offsets which the broker answers with an error. */
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
