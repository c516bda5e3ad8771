import type { StoredRecord } from '../../src/events/record.ts';
import { isBlank, type LogEntry } from '../../src/log/entry.ts';

/** The records among what was read; throws where there is none, as in a log that only we have written there must not be. */
export const recordsOf = (entries: readonly LogEntry[]): StoredRecord[] => entries.map(recordOf);

function recordOf(entry: LogEntry): StoredRecord {
  if (isBlank(entry)) throw new Error(`no record stands at offset ${entry.offset}: ${entry.reason}`);
  return entry;
}
