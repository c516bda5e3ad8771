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

/** One transaction: all moves with all their rows, or nothing. */
export interface Commit {
  readonly moves: readonly Move[];
  readonly accepted: readonly Accepted[];
}

/** The result of a commit. */
export type CommitOutcome =
  /** A checkpoint was not at the expected offset. */
  | 'missed'
  /** A stream that was taken for new already has a first record. */
  | 'not-new'
  /** The cache no longer meets the cache guard. Only a commit with a guard gives this. */
  | 'cache-changed'
  /**
   * Committed. `onlyServing`: no process reads another serving generation, so the winners of this one are final. `unmarked`
   * settles when the changed answers can be cached again; observers are notified only then. Undefined: at once.
   */
  | { readonly onlyServing: boolean; readonly unmarked?: Promise<void> };

/** What must be true of the cache when rows with cached answers change. */
export interface CacheGuard {
  /** Id of the row of `cache_state`. */
  readonly id: string;
  /** Marks may have expired from this time of the database's clock on, in milliseconds; undefined when nothing was marked. */
  readonly before?: number;
}

/**
 * What a projector reads and writes of one generation. `projections/engine/postgres-store.ts` is the one in use; the model
 * test of arbitration has another.
 */
export interface ProjectionStore extends HeadReader {
  checkpoints(partitions: readonly TopicPartition[]): Promise<StoredCheckpoint[]>;
  /**
   * Moves the checkpoints and writes the rows in one transaction whose first step compares every checkpoint with `from`.
   * It writes nothing when a checkpoint differs, nor when the key of `stream_events` shows that a first record is not the
   * first of its stream. Throws Poison when Postgres refuses the rows for their content; after any other error the outcome is
   * unknown.
   */
  commit(commit: Commit, cacheGuard?: CacheGuard): Promise<CommitOutcome>;
  /** Stores why the partition is stopped, or null when it goes on, so that API processes can refuse writes to it. */
  noteStopped(partition: TopicPartition, reason: string | null): Promise<void>;
}

/** Rows that Postgres refuses for their content (SQLSTATE 22xxx, 23xxx, 54000): a retry fails in the same way. */
export class Poison extends Error {
  constructor(message: string, cause: unknown) {
    super(message, { cause });
    this.name = 'Poison';
  }
}
