import type { TopicPartition } from '../../events/record.ts';
import type {
  Accepted,
  Checkpoint,
  ExpectedCheckpoint,
  HeadReader,
  StoredCheckpoint,
} from '../../event-store/judgement.ts';

export interface Move extends ExpectedCheckpoint {
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
  | 'cache-changed'
  /**
   * It happened. `sole`: no other serving build is read by anybody, so what won here counts already. `unmarked`: settles when
   * what was cached of it can be cached again, and nobody is to be told before; undefined: at once.
   */
  | { readonly sole: boolean; readonly unmarked?: Promise<void> };

/** What must be true of the cache when the rows that are cached are changed. */
export interface CacheGuard {
  /** Id of the row of `cache_state`. */
  readonly id: string;
  /** The database's clock, in milliseconds, from which on marks may not hold any more; undefined: nothing was marked. */
  readonly before?: number;
}

/**
 * The projector's side of one generation. `projections/engine/postgres-store.ts` is the one that runs; the model test of
 * arbitration has another.
 */
export interface ProjectionStore extends HeadReader {
  checkpoints(partitions: readonly TopicPartition[]): Promise<StoredCheckpoint[]>;
  /**
   * Moves the checkpoints and writes the rows in one transaction whose first step compares every checkpoint with `from`.
   * Nothing is written when it misses, nor when a first record is not the first of its stream, which the key of
   * `stream_events` tells. Throws Poison when the rows cannot be stored whoever tries; any other error leaves the outcome
   * unknown.
   */
  commit(commit: Commit, cacheGuard?: CacheGuard): Promise<CommitOutcome>;
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
