import { describe, expect, it } from '@jest/globals';
import { batchBytes, plainRecords } from '../../../test/support/stranger-batch.ts';
import { decodeFetchResponse } from './fetch-response.ts';

const TOPIC = 't';
const batch = batchBytes({ count: 1, packed: plainRecords([{ key: 'k', value: Buffer.of(1), headers: {} }]) }, 7);

function int(bytes: number, value: number): Buffer {
  const buffer = Buffer.alloc(bytes);
  buffer.writeIntBE(value, Math.max(0, bytes - 6), Math.min(6, bytes));
  return buffer;
}

interface Answer {
  readonly error?: number;
  readonly packed?: Buffer;
}

const partitionBytes = ({ error = 0, packed = Buffer.alloc(0) }: Answer, partition: number): Buffer[] => [
  ...[int(4, partition), int(2, error), int(8, 20), int(8, 20), int(8, 0), int(4, 0), int(4, 0)],
  ...[int(4, packed.length), packed],
];

/** The decoded response for kafkajs, by partition. Each was requested at offset 7. */
async function decoded(...answers: readonly Answer[]) {
  const bytes = Buffer.concat([
    ...[int(4, 0), int(2, 0), int(4, 0), int(4, 1), int(2, TOPIC.length), Buffer.from(TOPIC), int(4, answers.length)],
    ...answers.flatMap(partitionBytes),
  ]);
  const partitions = answers.map((_, partition) => ({ partition, fetchOffset: '7' }));
  const { responses } = await decodeFetchResponse(bytes, { topics: [{ topic: TOPIC, partitions }] });
  return responses[0]!.partitions.map(({ errorCode, messages }) => ({
    errorCode,
    messages: messages.map(({ entry, error }) => [
      entry && 'blank' in entry ? `${entry.blank} ${entry.offset}-${entry.last}: ${entry.reason}` : entry?.offset,
      error?.type,
    ]),
  }));
}

const read = { errorCode: 0, messages: [[7, undefined]] };
const nothing = { errorCode: 0, messages: [] };

/** Kafka's errors that a partition of a fetch can have. */
const RETRIED = [
  ...[['OFFSET_OUT_OF_RANGE', 1, 1], ['UNKNOWN_TOPIC_OR_PARTITION', 3, 3], ['LEADER_NOT_AVAILABLE', 5, 5]], // prettier-ignore
  ...[['NOT_LEADER_OR_FOLLOWER', 6, 6], ['REPLICA_NOT_AVAILABLE', 9, 6], ['KAFKA_STORAGE_ERROR', 56, 6]], // prettier-ignore
  ...[['FENCED_LEADER_EPOCH', 74, 74], ['UNKNOWN_LEADER_EPOCH', 75, 75], ['OFFSET_NOT_AVAILABLE', 78, 6]], // prettier-ignore
] as const;
const ALONE = [
  ...[['CORRUPT_MESSAGE', 2], ['UNKNOWN', -1], ['TOPIC_AUTHORIZATION_FAILED', 29]], // prettier-ignore
  ...[['UNSUPPORTED_COMPRESSION_TYPE', 76], ['RECORD_LIST_TOO_LARGE', 18]], // prettier-ignore
] as const;

describe('an error of one partition of a fetch', () => {
  it.each(ALONE)('delivers %s as a blank at its offset, and reads the other partitions', async (type, error) => {
    const shown = expect.stringMatching(`^unreadable 7-7: the broker does not show offset 7: ${type}, `);
    expect(await decoded({ error }, { packed: batch })).toEqual([{ errorCode: 0, messages: [[shown, type]] }, read]);
    expect(await decoded({ error })).toEqual([{ errorCode: 0, messages: [[shown, type]] }]);
  });

  it.each(RETRIED)('defers %s while other partitions have records', async (_, error, forKafkajs) => {
    expect(await decoded({ error }, { packed: batch })).toEqual([nothing, read]);
    expect(await decoded({ error }, {})).toEqual([{ errorCode: forKafkajs, messages: [] }, nothing]);
  });

  it('is not deferred for ever', async () => {
    let times = 0;
    while ((await decoded({ error: 6 }, { packed: batch }))[0]!.errorCode === 0) times++;
    expect(times).toBe(20);
    expect((await decoded({ error: 6 }, { packed: batch }))[0]!.errorCode).toBe(0);
  });
});
