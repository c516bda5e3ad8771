import type { StoredRecord, TopicPartition } from '../../events/record.ts';

/** A record as kafkajs decodes it; its types leave the batch out. */
export interface FetchedRecord {
  readonly offset: string;
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  readonly headers?: Readonly<Record<string, unknown>>;
  readonly batchContext?: { readonly partitionLeaderEpoch: number };
}

export function toStoredRecord({ topic, partition }: TopicPartition, record: FetchedRecord): StoredRecord {
  return {
    topic,
    partition,
    offset: Number(record.offset),
    key: record.key?.toString() ?? '',
    value: record.value ?? Buffer.alloc(0),
    headers: toStrings(record.headers ?? {}),
    leaderEpoch: record.batchContext?.partitionLeaderEpoch ?? 0,
  };
}

function toStrings(headers: Readonly<Record<string, unknown>>): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, toText(value)]));
}

/**
 * A header that stands twice is an array. So is one by the name of what every object inherits, such as `constructor`:
 * kafkajs takes the inherited function for a first value.
 */
const toText = (value: unknown): string =>
  [value]
    .flat()
    .filter((part) => part === null || Buffer.isBuffer(part))
    .map((part) => part?.toString() ?? '')
    .join('\0');
