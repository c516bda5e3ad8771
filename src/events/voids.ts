import { encodeEvent, subjectOf } from './codec.ts';
import type { PositionVoided } from './events.ts';
import { type LogRecord, showPosition, type StoredRecord } from './record.ts';

/** The record that publishes a void to other readers. The topic is compacted by its key. */
export const voidRecord = (event: PositionVoided): LogRecord => ({
  key: showPosition(event),
  value: encodeEvent(event),
  headers: { 'content-type': 'application/avro', ce_type: subjectOf(event.type) },
});

/**
 * Whether the record declares its own position void. A recovery of the log fills the places of losers with such records. It has
 * no checksum, so the rule makes it a loser in any case; this tells it from a foreign record, which raises an alarm.
 */
export const isFiller = ({ headers, key, ...at }: StoredRecord): boolean =>
  headers.ce_checksum === undefined && headers.ce_type === subjectOf('PositionVoided') && key === showPosition(at);
