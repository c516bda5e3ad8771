/** A record as it is appended. Other software may add headers on the way, but never change these. */
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

/** The place of a record, or of the next one. */
export interface Position extends TopicPartition {
  readonly offset: number;
}

/**
 * A record as it was read. Key and headers are UTF-8; bytes that are not become U+FFFD and fail the checksum.
 * A key or value of null reads as empty. A repeated header reads as its values joined by zero bytes. None of our headers may
 * contain a zero byte, so a repeated one is malformed.
 */
export interface StoredRecord extends LogRecord, Position {
  /** Epoch of the leader that wrote the record's batch; 0 where the log has no leaders. */
  readonly leaderEpoch: number;
}

/** `topic/partition`: the form of keys of maps, messages and logs. */
export const partitionKey = ({ topic, partition }: TopicPartition): string => `${topic}/${partition}`;

/** `topic/partition@offset`. */
export const showPosition = (position: Position): string => `${partitionKey(position)}@${position.offset}`;
