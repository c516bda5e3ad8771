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
}

/** The rule of `projections/arbitrate.ts`: version == head + 1 and prev == head's id, in offset order. */
export const RULE_VERSION = 1;
