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

/** What the rule needs to know beside the record and the head; the same for everybody who reads this log. */
export interface LogRules {
  /** Whether a stream's records may stand in a partition at all. */
  belongs(stream: string, where: TopicPartition): boolean;
  /** Whether an operator declared all of the offsets void. */
  readonly isVoid: VoidTest;
  /** Of the database that is written to, where it owns the log: it stops where an accepted record gives the log to another. */
  readonly ownership?: Ownership | undefined;
}

/**
 * What stands at some offsets, before any head is looked at.
 * - `claim`: a record of ours, and in its place; whether it wins depends on the head of its stream;
 * - `loser`: cannot win whatever the head; `alarm` when nothing should have written it;
 * - `corrupt`: may have been anything.
 */
export type Classification =
  | { readonly kind: 'claim'; readonly envelope: Envelope; readonly record: StoredRecord }
  | { readonly kind: 'loser'; readonly reason: string; readonly alarm: boolean }
  | { readonly kind: 'corrupt'; readonly reason: string };

/**
 * Every judge of the log decides here which offsets it may pass and which it must stop at. Reads headers and key, never the
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

/** The rule: a claim wins if and only if it follows the head in version and in id. Losers change nothing. */
export const wins: Rule = ({ version, prev }, head) =>
  version === (head?.version ?? 0) + 1 && prev === (head?.id ?? '');
