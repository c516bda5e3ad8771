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

/** Where a partition's checkpoint is believed to be. */
export interface Believed extends TopicPartition {
  readonly from: Checkpoint;
}

export interface Move extends Believed {
  readonly to: Checkpoint;
}

/** What one transaction does: all moves with all their rows, or nothing. */
export interface Commit {
  readonly moves: readonly Move[];
  readonly accepted: readonly Accepted[];
}

/** What became of a commit that the store has answered. */
export type CommitOutcome =
  /** A checkpoint was not where it was expected. */
  | 'missed'
  /** A stream has a first record that was taken for new. */
  | 'not-new'
  /** What it was to change is cached otherwise by now than it was provided for. Only if something was provided. */
  | 'cached-otherwise'
  /**
   * It happened. `sole`: no other serving build is read by anybody, so what won here counts already. `unmarked`: settles when
   * what was cached of it can be cached again, and nobody is to be told before; undefined: at once.
   */
  | { readonly sole: boolean; readonly unmarked?: Promise<void> };

/** What must be true of the cache when the rows that are cached are changed. */
export interface CacheProviso {
  /** Id of the row of `cache_state`. */
  readonly id: string;
  /** The database's clock, in milliseconds, from which on marks may not hold any more; undefined: nothing was marked. */
  readonly before?: number;
}

/**
 * The projector's side of one generation. `projections/postgres-store.ts` is the one that runs; the model test of
 * arbitration has another.
 */
export interface ProjectionStore {
  checkpoints(partitions: readonly TopicPartition[]): Promise<StoredCheckpoint[]>;
  /**
   * Heads of those streams that have one, read in one snapshot with the checkpoints. `missed`: one of these was not where
   * it was believed to be, so the heads are not those of that position. To compare at the commit alone would not do: with
   * another projector at work, a crash can take a checkpoint back before the heads are read, and have it moved on again after.
   */
  heads(streams: readonly string[], at: readonly Believed[]): Promise<Map<string, StreamHead> | 'missed'>;
  /**
   * Moves the checkpoints and writes the rows in one transaction whose first step compares every checkpoint with `from`.
   * Nothing is written when it misses, nor when a first record is not the first of its stream, which the key of
   * `stream_events` tells. Throws Poison when the rows cannot be stored whoever tries; any other error leaves the outcome
   * unknown.
   */
  commit(commit: Commit, proviso?: CacheProviso): Promise<CommitOutcome>;
  /** Notes why the partition is not consumed, or that it is again, for those who answer writes to it. */
  noteStopped(partition: TopicPartition, reason: string | null): Promise<void>;
}

/** Rows that Postgres refuses for what is in them (SQLSTATE 22xxx, 23xxx): trying again changes nothing. */
export class Poison extends Error {
  constructor(message: string, cause: unknown) {
    super(message, { cause });
    this.name = 'Poison';
  }
}
