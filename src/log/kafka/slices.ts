import type { TopicPartition } from '../../events/record.ts';
import type { Slice } from '../event-log.ts';
import { toStoredRecord, type FetchedRecord } from './stored-record.ts';

/** One call of the handler: well under a second of work, after which the group hears from this member. */
const RECORDS_A_SLICE = 1_000;

/** Decoded one slice at a time, so that a large fetch is not in memory twice. */
export function* slicesOf(where: TopicPartition, fetched: readonly FetchedRecord[]): Generator<Slice> {
  for (let start = 0; start < fetched.length; start += RECORDS_A_SLICE) {
    const records = fetched.slice(start, start + RECORDS_A_SLICE).map((record) => toStoredRecord(where, record));
    if (isFilled(records)) yield { topic: where.topic, partition: where.partition, records };
  }
}

const isFilled = <T>(list: T[]): list is [T, ...T[]] => list.length > 0;
