/** A partition's first record. It identifies the log, so that a recreated topic is recognised. */
export interface PartitionOpened {
  readonly type: 'PartitionOpened';
  /** UUID of this incarnation of the log; the same in every partition. */
  readonly incarnation: string;
  readonly topic: string;
  readonly partition: number;
  /** Number of partitions of the topic. */
  readonly partitions: number;
  /** Version of the rule that arbitrates. */
  readonly ruleVersion: number;
  /** Null for an embedded log, which is part of its owner's database. */
  readonly owner: LogOwner | null;
}

/** The Postgres database that owns a log. Both are strings of decimal digits, because they exceed the integers of JavaScript. */
export interface LogOwner {
  readonly systemIdentifier: string;
  readonly databaseOid: string;
}

/** A later record of a genesis stream: from there on the log has another owner. It is judged as any record. */
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
