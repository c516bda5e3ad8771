import type { Placement } from '../../../src/events/placement.ts';
import type { StoredRecord } from '../../../src/events/record.ts';
import type { EventLog } from '../../../src/log/event-log.ts';
import { recordsOf } from '../records.ts';

/** All records of all event topics, partition by partition in the order of the log. */
export async function readLog(log: EventLog, placement: Placement): Promise<StoredRecord[]> {
  const records: StoredRecord[] = [];
  for (const { topic, partition, offset: end } of await log.ends(placement.all)) {
    for (let offset = 0; offset < end;) {
      const some = recordsOf(await log.read({ topic, partition, offset }, { maxBytes: 4 * 2 ** 20 }));
      const last = some.at(-1);
      if (!last) throw new Error(`${topic}/${partition} gives nothing at ${offset}, before its end at ${end}.`);
      records.push(...some.filter((record) => record.offset < end));
      offset = last.offset + 1;
    }
  }
  return records;
}
