import type { StoredRecord } from '../../src/events/record.ts';
import { isBlank, type LogEntry } from '../../src/log/entry.ts';

/** The records of a read; throws where an offset has none, which must not happen in a log that only OpenMusic has written. */
export const recordsOf = (entries: readonly LogEntry[]): StoredRecord[] => entries.map(recordOf);

function recordOf(entry: LogEntry): StoredRecord {
  if (isBlank(entry)) throw new Error(`no record stands at offset ${entry.offset}: ${entry.reason}`);
  return entry;
}
