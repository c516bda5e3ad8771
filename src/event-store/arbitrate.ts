import { type Envelope, readEnvelope } from '../events/envelope.ts';
import type { StoredRecord, TopicPartition } from '../events/record.ts';
import { isFiller } from '../events/voids.ts';
import { isBlank, type LogEntry } from '../log/entry.ts';
import type { Ownership } from '../log/ownership.ts';
import type { VoidTest } from '../log/voids.ts';

/** The last accepted record of a stream. */
export interface Head {
  readonly version: number;
  readonly id: string;
}

/** What the rule needs beside the record and the head; the same for every reader of this log. */
export interface LogRules {
  /** Whether the partition is that of the stream. */
  belongs(stream: string, where: TopicPartition): boolean;
  /** Whether an operator declared all offsets of the entry void. */
  readonly isVoid: VoidTest;
  /** Set in the database that owns the log: judging stops at an accepted record that gives the log to another owner. */
  readonly ownership?: Ownership | undefined;
}

/**
 * A log entry, classified without looking at any head.
 * - `claim`: a record of ours in its own partition; the head of its stream decides whether it wins;
 * - `loser`: cannot win with any head; `alarm` when no writer should have appended it;
 * - `corrupt`: unreadable, so that it may have been any record.
 */
export type Classification =
  | { readonly kind: 'claim'; readonly envelope: Envelope; readonly record: StoredRecord }
  | { readonly kind: 'loser'; readonly reason: string; readonly alarm: boolean }
  | { readonly kind: 'corrupt'; readonly reason: string };

/**
 * Decides for every reader of the log which offsets it may pass and at which it must stop. Reads headers and key, never the
 * value, so that old and new code always agree.
 */
export function classify(entry: LogEntry, rules: LogRules): Classification {
  if (rules.isVoid(entry)) return { kind: 'loser', reason: 'declared void', alarm: false };
  if (!isBlank(entry)) return classifyRecord(entry, rules);
  if (entry.blank === 'control') return { kind: 'loser', reason: entry.reason, alarm: false };
  return { kind: 'corrupt', reason: entry.reason };
}

function classifyRecord(record: StoredRecord, rules: LogRules): Classification {
  const reading = readEnvelope(record);
  if (isFiller(record)) return { kind: 'loser', reason: 'a filler', alarm: false };
  if (reading.kind === 'foreign') return { kind: 'loser', reason: reading.reason, alarm: true };
  if (reading.kind === 'corrupt') return reading;
  const { envelope } = reading;
  if (!rules.belongs(envelope.stream, record)) {
    return { kind: 'loser', reason: 'its stream lives in another partition', alarm: true };
  }
  return { kind: 'claim', envelope, record };
}

export type Rule = (claim: Pick<Envelope, 'version' | 'prev'>, head: Head | undefined) => boolean;

/** The rule: a claim wins if and only if its version and `prev` follow the head. Losers change nothing. */
export const wins: Rule = ({ version, prev }, head) =>
  version === (head?.version ?? 0) + 1 && prev === (head?.id ?? '');
