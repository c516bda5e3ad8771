import type { LogOwner } from '../events/genesis.ts';
import type { LogRecord, Position, TopicPartition } from '../events/record.ts';
import type { Stoppable } from '../lifecycle.ts';
import type { LogEntry } from './entry.ts';

/**
 * The port to the log. Both adapters promise, and `test/contract/event-log.ts` tests on both:
 * - an acknowledged append survives kill -9 of the process that appended, and of the log's server;
 * - a partition is a total order, and a batch's records of one partition keep their order;
 * - every offset below a partition's end is delivered: as a record, or as a blank where no record can be judged;
 * - a subscription delivers from the offset that its handler chose, in order, without gaps.
 */
export interface EventLog {
  /** Whether an acknowledged append to these topics survives a power cut. Projections commit asynchronously only then. */
  durability(topics: readonly string[]): Promise<Durability>;
  /** The topics that exist; others are missing from the answer. */
  describe(topics: readonly string[]): Promise<TopicDescription[]>;
  /** Creates the topics that do not exist. Others are left unchanged. */
  createTopics(topics: readonly NewTopic[]): Promise<void>;
  /** Deletes topics with their records; those that do not exist are skipped. Nothing may be subscribed to them. */
  deleteTopics(topics: readonly string[]): Promise<void>;
  /**
   * Appends all records in one request; resolves when every one is acknowledged by all in-sync replicas.
   * Rejects with an AppendError; after `unknown` some or all of them may be, or may yet come to be, in the log.
   */
  append(batch: readonly Append[]): Promise<void>;
  /** The first offset of each partition: 0, unless something has deleted records. */
  begins(partitions: readonly TopicPartition[]): Promise<Position[]>;
  /** The next offset of each partition. */
  ends(partitions: readonly TopicPartition[]): Promise<Position[]>;
  /** The entries from a position on, about `maxBytes` at most. Empty at the end of the partition. */
  read(from: Position, options?: { maxBytes?: number }): Promise<LogEntry[]>;
  /** Live members of this installation's consumer groups, or of those of another owner. */
  members(owner?: LogOwner): Promise<GroupMember[]>;
  /** Joins the group and delivers until stopped. Resolves once it runs, which can be before partitions are assigned. */
  subscribe(subscription: Subscription): Promise<RunningSubscription>;
  close(): Promise<void>;
}

export interface Durability {
  readonly durable: boolean;
  /** One line for people that says why. */
  readonly why: string;
}

export interface TopicDescription {
  readonly topic: string;
  readonly partitions: number;
  /** Replicas of the partition that has the fewest. */
  readonly replicas: number;
  /** Settings by Kafka's names, at least `cleanup.policy`, `retention.ms` and `retention.bytes`. */
  readonly settings: Readonly<Record<string, string>>;
}

export interface NewTopic {
  readonly topic: string;
  readonly partitions: number;
  /** Retention in milliseconds; -1 for ever. */
  readonly retentionMs: number;
  /** Only the newest record of each key is retained, so offsets have gaps. */
  readonly compacted?: boolean;
  /** Whether an operator may set a shorter retention, because the records can be made again. */
  readonly mayExpire?: boolean;
  /** Bytes of the largest record, where it is not the broker's default. */
  readonly recordBytes?: number;
}

/** A process in a consumer group. */
export interface GroupMember {
  readonly group: string;
  readonly clientId: string;
  /** As the broker reports it. */
  readonly host: string;
}

export interface Append extends TopicPartition {
  readonly record: LogRecord;
}

/** `refused`: no record of the batch is or will be in the log. `unknown`: some or all of them may be. */
export class AppendError extends Error {
  readonly outcome: 'refused' | 'unknown';

  constructor(outcome: 'refused' | 'unknown', message: string, cause?: unknown) {
    super(message, { cause });
    this.name = 'AppendError';
    this.outcome = outcome;
  }
}

export interface Subscription {
  /** Consumer group, whose members share the partitions. At a broker its name ends with a tag of the database. */
  readonly group: string;
  readonly topics: readonly string[];
  readonly handler: SubscriptionHandler;
  /** Bytes a fetch may bring, per partition and in all. */
  readonly fetch?: { readonly maxBytesPerPartition: number; readonly maxBytes: number };
  /** Called when the subscription has ended by itself for good. The process should end. */
  readonly onCrash: (error: Error) => void;
}

/** The handler, not the group's committed offsets, decides where to read. There is one call at a time per partition. */
export interface SubscriptionHandler {
  /**
   * Called after every join, before any slice. Returns where to begin in each assigned partition. State of partitions from
   * before the join is invalid. An error is reported, and the call repeated after a pause.
   */
  assigned(partitions: readonly TopicPartition[]): Promise<Position[]>;
  /**
   * Handles what was fetched, of one or more partitions. Resolves to the offset each partition continues at, or to
   * `stopped`, after which the partition is not delivered until the next join or `resume`. An error is reported, and the
   * same records are delivered again after a pause.
   */
  deliver(slices: readonly Slice[], context: DeliveryContext): Promise<Next[]>;
}

/** Entries at consecutive offsets of one partition. The first is normally the one that was asked for. */
export interface Slice extends TopicPartition {
  readonly records: readonly [LogEntry, ...LogEntry[]];
}

export interface Next extends TopicPartition {
  readonly next: number | 'stopped';
}

export interface DeliveryContext {
  /** Fires when the subscription stops. */
  readonly signal: AbortSignal;
  /** Sends a heartbeat to the group. To be called between the steps of work that can take seconds. */
  heartbeat(): Promise<void>;
}

export interface RunningSubscription extends Stoppable {
  /** Partitions assigned at the moment. */
  assigned(): readonly TopicPartition[];
  /** Delivers a stopped partition again, from `offset`. */
  resume(from: Position): void;
}
