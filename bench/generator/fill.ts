import type { Append, EventLog } from '../../src/log/event-log.ts';

/** Records in one append: each of six partitions stays far below the bytes that a broker accepts. */
const BATCH = 2_000;

/** Appends the records in their order. The next batch is generated while the one before is being appended. */
export async function fill(
  log: Pick<EventLog, 'append'>,
  records: Iterable<Append>,
  progress: (appended: number) => void = () => undefined,
): Promise<number> {
  let appended = 0;
  let underWay = Promise.resolve();
  for (const batch of batches(records)) {
    await underWay;
    underWay = log.append(batch);
    underWay.catch(() => undefined); // thrown by the next await
    appended += batch.length;
    progress(appended);
  }
  await underWay;
  return appended;
}

function* batches(records: Iterable<Append>): Generator<Append[], void> {
  let batch: Append[] = [];
  for (const record of records) {
    batch.push(record);
    if (batch.length < BATCH) continue;
    yield batch;
    batch = [];
  }
  if (batch.length > 0) yield batch;
}
