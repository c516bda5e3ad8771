import type { Envelope } from '../events/envelope.ts';
import type { AnyEvent } from '../events/events.ts';
import type { StoredRecord, TopicPartition } from '../events/record.ts';
import type { Head } from './arbitrate.ts';

/** How far a partition is applied. `fence` changes when another process changes rows that belong to the partition. */
export interface Checkpoint {
  /** Offset of the next record to apply. */
  readonly next: number;
  readonly fence: number;
  /** Fingerprint of the record before `next`; empty where there is none, as at 0 and after a marker or a void. */
  readonly fingerprint: string;
  /** Leader epoch of the entry before `next`. */
  readonly leaderEpoch: number;
}

export interface StoredCheckpoint extends TopicPartition, Checkpoint {
  /** Why the partition is stopped; null while it is not. */
  readonly stopped: string | null;
}

/** The expected checkpoint of a partition, for a compare-and-set. */
export interface ExpectedCheckpoint extends TopicPartition {
  readonly from: Checkpoint;
}

/** A head, and whether its stream is open. */
export interface StreamHead extends Head {
  /** The stream is quarantined: winners are kept but not applied. */
  readonly closed: boolean;
}

/** A winner. It keeps its version even when its payload cannot be applied. */
export interface Accepted {
  readonly record: StoredRecord;
  readonly envelope: Envelope;
  /** `event`: it is applied. `kept`: its stream is closed. `poison`: why it cannot be decoded, which closes its stream. */
  readonly payload: { readonly event: AnyEvent } | 'kept' | { readonly poison: string };
}

export interface HeadReader {
  /**
   * Heads of those streams that have one, read in one snapshot with the checkpoints. `missed`: a checkpoint differed from the
   * expected one, so the heads are not those of that position. Comparing only at the commit is not enough: a crash of Postgres
   * can take a checkpoint back before the heads are read, and another projector can move it on again afterwards.
   */
  heads(streams: readonly string[], at: readonly ExpectedCheckpoint[]): Promise<Map<string, StreamHead> | 'missed'>;
}
