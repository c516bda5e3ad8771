import { type Envelope, readEnvelope } from '../events/envelope.ts';
import type { Position, StoredRecord, TopicPartition } from '../events/record.ts';

/** The last accepted record of a stream. */
export interface Head {
  readonly version: number;
  readonly id: string;
}

/** What the rule needs to know beside the record and the head; the same for everybody who reads this log. */
export interface Ground {
  /** Whether a stream's records may stand in a partition at all. */
  belongs(stream: string, where: TopicPartition): boolean;
  /** Whether an operator declared the position void. */
  isVoid(position: Position): boolean;
}

/**
 * A record before any head is looked at.
 * - `claim`: ours, and in its place; whether it wins depends on the head of its stream;
 * - `loser`: cannot win whatever the head; `alarm` when nobody should have written it;
 * - `corrupt`: may have been anything.
 */
export type Sighting =
  | { readonly kind: 'claim'; readonly envelope: Envelope }
  | { readonly kind: 'loser'; readonly reason: string; readonly alarm: boolean }
  | { readonly kind: 'corrupt'; readonly reason: string };

/** Reads headers and key, never the value, so that old and new code always agree. */
export function sight(record: StoredRecord, ground: Ground): Sighting {
  if (ground.isVoid(record)) return { kind: 'loser', reason: 'declared void', alarm: false };
  const reading = readEnvelope(record);
  if (reading.kind === 'foreign') return { kind: 'loser', reason: reading.reason, alarm: true };
  if (reading.kind === 'corrupt') return reading;
  const { envelope } = reading;
  if (!ground.belongs(envelope.stream, record)) {
    return { kind: 'loser', reason: 'its stream lives in another partition', alarm: true };
  }
  return { kind: 'claim', envelope };
}

/** The rule: a claim wins if and only if it follows the head in version and in id. Losers change nothing. */
export function wins(claim: Pick<Envelope, 'version' | 'prev'>, head: Head | undefined): boolean {
  return claim.version === (head?.version ?? 0) + 1 && claim.prev === (head?.id ?? '');
}
