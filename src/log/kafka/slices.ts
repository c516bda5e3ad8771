import type { TopicPartition } from '../../events/record.ts';
import type { Slice } from '../event-log.ts';
import { toStoredRecord, type FetchedRecord } from './stored-record.ts';

/** One call of the handler: well under a second of work, after which the group hears from this member. */
const RECORDS_A_SLICE = 1_000;

/** What was fetched, from the wanted record on; undefined when it is not there, or not the first of the rest. */
export function fromWanted<T extends FetchedRecord>(fetched: readonly T[], wanted: number): readonly T[] | undefined {
  const start = fetched.findIndex(({ offset }) => Number(offset) >= wanted);
  return Number(fetched[start]?.offset) === wanted ? fetched.slice(start) : undefined;
}

/** Decoded one slice at a time, so that a large fetch is not in memory twice. */
export function* slicesOf(where: TopicPartition, fetched: readonly FetchedRecord[]): Generator<Slice> {
  for (let start = 0; start < fetched.length; start += RECORDS_A_SLICE) {
    const records = fetched.slice(start, start + RECORDS_A_SLICE).map((record) => toStoredRecord(where, record));
    if (isFilled(records)) yield { topic: where.topic, partition: where.partition, records };
  }
}

const isFilled = <T>(list: T[]): list is [T, ...T[]] => list.length > 0;
