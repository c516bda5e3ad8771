import type { TopicPartition } from '../../events/record.ts';
import { beginningAt } from '../entry.ts';
import type { Slice } from '../event-log.ts';
import type { FetchedMessage } from './fetch-response.ts';
import { entryOf } from './stored-record.ts';

/** One call of the handler. It takes well under a second, after which a heartbeat is sent. */
const RECORDS_A_SLICE = 1_000;

/**
 * Decodes one slice at a time, so that a large fetch is not in memory twice. An entry that begins before `wanted` and ends after it is
 * cut to the wanted offsets; an entry that ends before it is delivered as it is.
 */
export function* slicesOf(
  { topic, partition }: TopicPartition,
  wanted: number,
  fetched: readonly FetchedMessage[],
): Generator<Slice> {
  for (let start = 0; start < fetched.length; start += RECORDS_A_SLICE) {
    const records = fetched
      .slice(start, start + RECORDS_A_SLICE)
      .map((message) => entryOf({ topic, partition }, message))
      .map((entry) => beginningAt(entry, wanted) ?? entry);
    if (isFilled(records)) yield { topic, partition, records };
  }
}

const isFilled = <T>(list: T[]): list is [T, ...T[]] => list.length > 0;
