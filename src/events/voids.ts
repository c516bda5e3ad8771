import { encodeEvent, subjectOf } from './codec.ts';
import { type LogRecord, showPosition, type StoredRecord } from './record.ts';

/** The value of a record in `<namespace>.voids`: that position is a loser for every reader. These records are not judged. */
export interface PositionVoided {
  readonly type: 'PositionVoided';
  /** The life of the log that it is about: topics that are made anew begin at offset 0 again. */
  readonly incarnation: string;
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  /** The last offset that is void: an unreadable batch and a gap cover several. */
  readonly lastOffset: number;
  readonly reason: string;
  /** ISO 8601. */
  readonly at: string;
}

/** The record that tells other readers of a void. The topic is compacted by its key. */
export const voidRecord = (event: PositionVoided): LogRecord => ({
  key: showPosition(event),
  value: encodeEvent(event),
  headers: { 'content-type': 'application/avro', ce_type: subjectOf(event.type) },
});

/**
 * Whether it says of the place where it stands that nothing counts there. A recovery of the log fills the places of losers
 * with such records. It has no checksum, so the rule makes it a loser in any case; here it is told from a stranger's.
 */
export const isFiller = ({ headers, key, ...at }: StoredRecord): boolean =>
  headers.ce_checksum === undefined && headers.ce_type === subjectOf('PositionVoided') && key === showPosition(at);
