import { type LogRecord, partitionKey, type Position, type TopicPartition } from '../events/record.ts';
import type { Faults } from '../faults.ts';
import type { Append, EventLog } from '../log/event-log.ts';

/** Another process appended to the log while it was recovered. */
class Overtaken extends Error {
  constructor(where: TopicPartition, wanted: number, found: number) {
    super(
      `${partitionKey(where)} ends at ${found} where ${wanted} was expected: another process appends to it, or an append was repeated. Stop all processes that use this log and run the command again.`,
    );
    this.name = 'Overtaken';
  }
}

/** Below the limit of one request to a broker, and to the API of a running server. A single record may be larger. */
const BATCH_BYTES = 256_000;
const BATCH_RECORDS = 200;

/** Appends records to one partition in batches, each record at its exact offset. Returns the partition's end. */
export async function writeFrom(
  { log, faults = {} }: { readonly log: EventLog; readonly faults?: Faults },
  from: Position,
  records: AsyncIterable<LogRecord>,
): Promise<number> {
  const where = { topic: from.topic, partition: from.partition };
  let next = from.offset;
  let [batch, bytes]: [Append[], number] = [[], 0];

  async function flush(): Promise<void> {
    if (batch.length === 0) return;
    await log.append(batch);
    next += batch.length;
    [batch, bytes] = [[], 0];
    const [end] = await log.ends([where]);
    if (end?.offset !== next) throw new Overtaken(where, next, end?.offset ?? 0);
    faults['recovery-appended']?.();
  }

  for await (const record of records) {
    const size = sizeOf(record);
    if (batch.length === BATCH_RECORDS || (batch.length > 0 && bytes + size > BATCH_BYTES)) await flush();
    batch.push({ ...where, record });
    bytes += size;
  }
  await flush();
  return next;
}

function sizeOf({ key, value, headers }: LogRecord): number {
  return Object.entries(headers).reduce(
    (sum, [name, text]) => sum + name.length + text.length,
    key.length + value.length,
  );
}
