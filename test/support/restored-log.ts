import { partitionKey, type Position, type StoredRecord } from '../../src/events/record.ts';
import { isBlank, lastOffsetOf } from '../../src/log/entry.ts';
import type { EventLog } from '../../src/log/event-log.ts';
import { topicsOf } from '../../src/log/topics.ts';
import type { Placement } from '../../src/events/placement.ts';

/** A log, and its placement. */
export interface LogOf {
  readonly log: EventLog;
  readonly placement: Placement;
}

/** All records of a log that has no gaps, by partition. */
export async function recordsIn({ log, placement }: LogOf): Promise<Map<string, StoredRecord[]>> {
  const all = new Map<string, StoredRecord[]>();
  for (const end of await log.ends(placement.all)) {
    const records: StoredRecord[] = [];
    for (let offset = 0; offset < end.offset;) {
      const entries = await log.read({ ...end, offset });
      for (const entry of entries) if (!isBlank(entry)) records.push(entry);
      offset = lastOffsetOf(entries.at(-1)!) + 1;
    }
    all.set(partitionKey(end), records);
  }
  return all;
}

/**
 * Makes the log of a broker that was restored from a copy: the topics as they were when the partitions ended there. Those
 * of `without` are missing.
 */
export async function restoreLog(of: LogOf, ends: readonly Position[], without: readonly string[] = []): Promise<void> {
  const { log, placement } = of;
  const all = await recordsIn(of);
  await log.deleteTopics(placement.topics);
  await log.createTopics(topicsOf(placement).filter(({ topic }) => !without.includes(topic)));
  for (const end of ends) {
    if (without.includes(end.topic)) continue;
    const kept = all.get(partitionKey(end))!.slice(0, end.offset);
    const { topic, partition } = end;
    if (kept.length > 0) await log.append(kept.map((record) => ({ topic, partition, record })));
  }
}
