/** A record as it is appended: its bytes are final, nobody downstream adds a header. */
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
 * A key or value of null reads as empty; a header that stands twice reads as its values joined by a comma.
 */
export interface StoredRecord extends LogRecord, Position {
  /** Of the leader that wrote the record's batch; 0 where the log has no leaders. */
  readonly leaderEpoch: number;
}

/** `topic/partition`, the form in which positions are keys of maps and are shown to people. */
export const partitionKey = ({ topic, partition }: TopicPartition): string => `${topic}/${partition}`;

/** `topic/partition@offset`. */
export const showPosition = (position: Position): string => `${partitionKey(position)}@${position.offset}`;
