import type { Envelope } from '../events/envelope.ts';
import type { AnyEvent } from '../events/events.ts';
import type { StoredRecord, TopicPartition } from '../events/record.ts';
import type { Head } from './arbitrate.ts';

/** How far a partition is applied. `fence` changes whenever somebody else changes rows that belong to the partition. */
export interface Checkpoint {
  /** Offset of the next record to apply. */
  readonly next: number;
  readonly fence: number;
  /** Fingerprint of the record before `next`; empty where there is none, as at 0 and after a marker or a void. */
  readonly fingerprint: string;
  /** Leader epoch of what stands before `next`. */
  readonly leaderEpoch: number;
}

export interface StoredCheckpoint extends TopicPartition, Checkpoint {
  /** Why the partition is noted as stopped. */
  readonly stopped: string | null;
}

/** Where a partition's checkpoint is expected to be. */
export interface ExpectedCheckpoint extends TopicPartition {
  readonly from: Checkpoint;
}

/** A head as the projector uses it. */
export interface StreamHead extends Head {
  /** The stream is quarantined: winners are kept but not applied. */
  readonly closed: boolean;
}

/** A winner: it has its version, whatever becomes of its payload. */
export interface Accepted {
  readonly record: StoredRecord;
  readonly envelope: Envelope;
  /** - an event: it is applied; - `kept`: its stream is closed; - a reason: it closes its stream. */
  readonly payload: { readonly event: AnyEvent } | 'kept' | { readonly poison: string };
}

export interface HeadReader {
  /**
   * Heads of those streams that have one, read in one snapshot with the checkpoints. `missed`: one of these was not where
   * it was believed to be, so the heads are not those of that position. To compare at the commit alone would not do: with
   * another projector at work, a crash can take a checkpoint back before the heads are read, and have it moved on again after.
   */
  heads(streams: readonly string[], at: readonly ExpectedCheckpoint[]): Promise<Map<string, StreamHead> | 'missed'>;
}
