/** A partition's first record. It says which log this is, so that a topic made anew is recognised. */
export interface PartitionOpened {
  readonly type: 'PartitionOpened';
  /** UUID of this life of the log; the same in every partition. */
  readonly incarnation: string;
  readonly topic: string;
  readonly partition: number;
  /** How many partitions the topic has. */
  readonly partitions: number;
  /** Version of the rule that arbitrates. */
  readonly ruleVersion: number;
  /** Null for a log that lies in its own database. */
  readonly owner: LogOwner | null;
}

/** The Postgres database that owns a log. Both are decimal digits: they exceed what a number of JavaScript holds. */
export interface LogOwner {
  readonly systemIdentifier: string;
  readonly databaseOid: string;
}

/** A later record of a genesis stream: the log has another owner from there on. Judged as any record. */
export interface OwnerChanged {
  readonly type: 'OwnerChanged';
  readonly incarnation: string;
  readonly topic: string;
  readonly partition: number;
  readonly owner: LogOwner;
  readonly previousOwner: LogOwner | null;
  /** `claimed`: the same database under another identity; `adopted`: another database took over. */
  readonly reason: string;
  /** ISO 8601. */
  readonly at: string;
}

/** The rule of `event-store/arbitrate.ts`: version == head + 1 and prev == head's id, in offset order. */
export const RULE_VERSION = 2;
