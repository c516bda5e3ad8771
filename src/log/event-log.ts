import type { LogOwner } from '../events/genesis.ts';
import type { LogRecord, Position, TopicPartition } from '../events/record.ts';
import type { Stoppable } from '../lifecycle.ts';
import type { LogEntry } from './entry.ts';

/**
 * The port to the log. Both adapters promise, and `test/contract/event-log.ts` tests on both:
 * - an acknowledged append survives kill -9 of whoever appended, and of the log's server;
 * - a partition is a total order, and a batch's records of one partition keep their order;
 * - every offset below a partition's end is told of: by a record, or by a blank where there is none that can be judged;
 * - a subscription delivers from where its handler wants to begin, in order, without gaps.
 */
export interface EventLog {
  /** How well an acknowledged append to these topics is kept. Projections commit asynchronously only on a durable log. */
  durability(topics: readonly string[]): Promise<Durability>;
  /** Topics as they are; a topic that does not exist is missing from the answer. */
  describe(topics: readonly string[]): Promise<TopicDescription[]>;
  /** Makes topics that do not exist yet. Others are left as they are. */
  createTopics(topics: readonly NewTopic[]): Promise<void>;
  /** Deletes topics with all that is in them; those that do not exist are passed over. Nothing may be subscribed to them. */
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
  /** Up to about `maxBytes` of what stands at a position and after it; empty at the end of the partition. */
  read(from: Position, options?: { maxBytes?: number }): Promise<LogEntry[]>;
  /** Members of consumer groups that live now: of this installation's groups, or of those that another owner has here. */
  members(owner?: LogOwner): Promise<GroupMember[]>;
  /** Joins the group and delivers until stopped. Resolves once it runs, which can be before anything is assigned. */
  subscribe(subscription: Subscription): Promise<RunningSubscription>;
  close(): Promise<void>;
}

export interface Durability {
  readonly durable: boolean;
  /** One line for people: which of the ways holds. */
  readonly why: string;
}

export interface TopicDescription {
  readonly topic: string;
  readonly partitions: number;
  /** Of the partition that has the fewest. */
  readonly replicas: number;
  /** Settings by Kafka's names, at least `cleanup.policy`, `retention.ms` and `retention.bytes`. */
  readonly settings: Readonly<Record<string, string>>;
}

export interface NewTopic {
  readonly topic: string;
  readonly partitions: number;
  /** How long records are kept; -1 for ever. */
  readonly retentionMs: number;
  /** Only the newest record of each key has to be kept. Its offsets have gaps. */
  readonly compacted?: boolean;
}

/** A process in a consumer group. */
export interface GroupMember {
  readonly group: string;
  readonly clientId: string;
  /** As the broker knows it. */
  readonly host: string;
}

export interface Append extends TopicPartition {
  readonly record: LogRecord;
}

/** `refused`: nothing of the batch is or will be in the log. `unknown`: nobody can say. */
export class AppendError extends Error {
  readonly outcome: 'refused' | 'unknown';

  constructor(outcome: 'refused' | 'unknown', message: string, cause?: unknown) {
    super(message, { cause });
    this.name = 'AppendError';
    this.outcome = outcome;
  }
}

export interface Subscription {
  /** Consumer group. Members of one group share the partitions. At a broker its name ends with that of the database. */
  readonly group: string;
  readonly topics: readonly string[];
  readonly handler: SubscriptionHandler;
  /** Bytes a fetch may bring, per partition and in all. */
  readonly fetch?: { readonly maxBytesPerPartition: number; readonly maxBytes: number };
  /** Called when the subscription has ended by itself and will not come back. The process should end. */
  readonly onCrash: (error: Error) => void;
}

/** The handler, not the group's committed offsets, says where to read. It is called for one thing at a time per partition. */
export interface SubscriptionHandler {
  /**
   * After every join, before any slice: where to begin in each assigned partition. Everything remembered of
   * partitions from before the join is void. What throws is reported, and asked again after a pause.
   */
  assigned(partitions: readonly TopicPartition[]): Promise<Position[]>;
  /**
   * Handles what was fetched, of one or more partitions. Resolves to the offset each partition continues at, or to
   * `stopped`, after which the partition is not delivered until the next join or `resume`. What throws is reported and the
   * same records come again after a pause.
   */
  deliver(slices: readonly Slice[], context: DeliveryContext): Promise<Next[]>;
}

/** What stands at consecutive offsets of one partition. The first is normally the one that was wanted. */
export interface Slice extends TopicPartition {
  readonly records: readonly [LogEntry, ...LogEntry[]];
}

export interface Next extends TopicPartition {
  readonly next: number | 'stopped';
}

export interface DeliveryContext {
  /** Fires when the subscription stops. */
  readonly signal: AbortSignal;
  /** Tells the group that this member lives; called between the steps of work that can take seconds. */
  heartbeat(): Promise<void>;
}

export interface RunningSubscription extends Stoppable {
  /** Partitions assigned now, as far as known. */
  assigned(): readonly TopicPartition[];
  /** Delivers a stopped partition again, from `offset`. */
  resume(from: Position): void;
}
