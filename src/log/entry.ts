import { fingerprint } from '../events/envelope.ts';
import type { Position, StoredRecord, TopicPartition } from '../events/record.ts';

/** Consecutive offsets of one partition. */
export interface Span extends Position {
  /** The last of them; without it there is only one. */
  readonly last?: number;
}

/**
 * Offsets without a record that could be judged:
 * - `control`: a marker that Kafka writes at the end of a transaction;
 * - `unreadable`: a batch that cannot be unpacked;
 * - `missing`: nothing is stored there, although later offsets exist.
 */
export interface Blank extends TopicPartition {
  readonly blank: 'control' | 'unreadable' | 'missing';
  readonly offset: number;
  readonly last: number;
  readonly leaderEpoch: number;
  readonly reason: string;
}

/** The content of an offset of the log. Every offset below the end belongs to exactly one entry. */
export type LogEntry = StoredRecord | Blank;

export const isBlank = (entry: LogEntry): entry is Blank => 'blank' in entry;

export const lastOffsetOf = (entry: LogEntry): number => (isBlank(entry) ? entry.last : entry.offset);

/** Identifies an entry when it is read again. Empty for a blank, which has no identity. */
export const identityOf = (entry: LogEntry): string => (isBlank(entry) ? '' : fingerprint(entry));

/** An entry without its offsets below `from`; undefined when nothing is left of it. */
export function beginningAt<T extends LogEntry>(entry: T, from: number): T | undefined {
  if (lastOffsetOf(entry) < from) return undefined;
  return entry.offset < from ? { ...entry, offset: from } : entry;
}

export function gap(offset: number, last: number, leaderEpoch = 0): Omit<Blank, keyof TopicPartition> {
  const reason = offset === last ? `offset ${offset} is missing` : `offsets ${offset} to ${last} are missing`;
  return { blank: 'missing', offset, last, leaderEpoch, reason };
}

export const missing = ({ topic, partition }: TopicPartition, ...of: Parameters<typeof gap>): Blank => ({
  topic,
  partition,
  ...gap(...of),
});

/** The same entries with a blank in every gap, including the gap between `next` and the first entry. */
export function withMissing(next: number, entries: readonly LogEntry[]): readonly LogEntry[] {
  const whole: LogEntry[] = [];
  for (const entry of entries) {
    if (entry.offset > next) whole.push(missing(entry, next, entry.offset - 1, entry.leaderEpoch));
    whole.push(entry);
    next = lastOffsetOf(entry) + 1;
  }
  return whole.length === entries.length ? entries : whole;
}
