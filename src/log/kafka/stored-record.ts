import type { TopicPartition } from '../../events/record.ts';
import type { LogEntry } from '../entry.ts';
import type { FetchedMessage } from './fetch-response.ts';
import { headersOf, type RawRecord } from './record-batch.ts';

/** The entry of a message, with the partition from which it was fetched. */
export function entryOf({ topic, partition }: TopicPartition, { entry, offset }: FetchedMessage): LogEntry {
  if (!entry) throw new Error(`kafkajs has decoded the message at offset ${offset} by itself`);
  if ('blank' in entry) return { topic, partition, ...entry };
  return {
    topic,
    partition,
    offset: entry.offset,
    key: entry.key?.toString() ?? '',
    value: entry.value ?? Buffer.alloc(0),
    headers: toStrings(entry),
    leaderEpoch: entry.leaderEpoch,
  };
}

/** The values of a repeated name are joined by NUL, so that they equal no header of ours. */
function toStrings(record: RawRecord): Record<string, string> {
  const headers = new Map<string, string>();
  for (const [name, value] of headersOf(record)) {
    const before = headers.get(name);
    headers.set(name, before === undefined ? value : `${before}\0${value}`);
  }
  return Object.fromEntries(headers);
}
