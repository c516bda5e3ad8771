/** A record as it is appended. On its way others may add headers, but never change these. */
export interface LogRecord {
  /** The stream id. */
  readonly key: string;
  readonly value: Buffer;
  readonly headers: Readonly<Record<string, string>>;
}

/** One partition of one topic; `topic` carries the namespace. */
export interface TopicPartition {
  readonly topic: string;
  readonly partition: number;
}

/** Where a record lies, or where the next one will. */
export interface Position extends TopicPartition {
  readonly offset: number;
}

/**
 * A record as it was read. Key and headers are UTF-8; bytes that are not become U+FFFD and fail the checksum.
 * A key or value of null reads as empty. A header that stands more than once reads as its values joined by zero bytes, which
 * no header of ours may hold: it is malformed, whatever its values are.
 */
export interface StoredRecord extends LogRecord, Position {
  /** Of the leader that wrote the record's batch; 0 where the log has no leaders. */
  readonly leaderEpoch: number;
}

/** `topic/partition`, the form in which positions are keys of maps and are shown to people. */
export const partitionKey = ({ topic, partition }: TopicPartition): string => `${topic}/${partition}`;

/** `topic/partition@offset`. */
export const showPosition = (position: Position): string => `${partitionKey(position)}@${position.offset}`;
