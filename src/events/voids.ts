import { encodeEvent, subjectOf } from './codec.ts';
import { type LogRecord, showPosition } from './record.ts';

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
