import { partitionKey, type Position, showPosition, type StoredRecord } from '../../events/record.ts';
import type { LogEntry } from '../entry.ts';
import type { Slice } from '../event-log.ts';

/** The most that one fetch returns of each partition. A single record may be larger. */
export interface FetchLimits {
  readonly records: number;
  readonly bytes: number;
}

const MAX_RECORDS = 2_000;
const MAX_BYTES = 4 * 2 ** 20;

/**
 * The newest records that this process appended, in the form in which they are read, so that they need not be read back. They are
 * acknowledged, hence visible to every query, but may be added here before those of earlier offsets.
 */
export class Tail {
  /** By position, oldest first. */
  readonly #records = new Map<string, StoredRecord>();
  readonly #ends = new Map<string, number>();
  #bytes = 0;

  add(records: readonly StoredRecord[]): void {
    for (const record of records) {
      this.#records.set(showPosition(record), record);
      this.#bytes += sizeOf(record);
      this.reaches({ ...record, offset: record.offset + 1 });
    }
    this.#shrink();
  }

  /** Notes that a partition extends at least up to here. */
  reaches(end: Position): void {
    const key = partitionKey(end);
    this.#ends.set(key, Math.max(end.offset, this.#ends.get(key) ?? 0));
  }

  /** Removes the records of deleted topics, because new topics of the same names hold other records. */
  forget(topics: readonly string[]): void {
    const gone = new Set(topics);
    for (const [key, record] of this.#records) {
      if (!gone.has(record.topic)) continue;
      this.#records.delete(key);
      this.#bytes -= sizeOf(record);
      this.#ends.delete(partitionKey(record));
    }
  }

  /** The records after the positions, up to the ends noted here; undefined when some of them must be read. */
  slices(wanted: readonly Position[], limits: FetchLimits): Slice[] | undefined {
    const behind = wanted.filter((position) => position.offset < (this.#ends.get(partitionKey(position)) ?? 0));
    const slices = behind.map((position) => sliceOf(this.#run(position, limits)));
    return slices.every((slice) => slice !== undefined) ? slices : undefined;
  }

  #run({ topic, partition, offset }: Position, limits: FetchLimits): StoredRecord[] {
    const run: StoredRecord[] = [];
    for (let bytes = 0; run.length < limits.records && bytes < limits.bytes;) {
      const record = this.#records.get(showPosition({ topic, partition, offset: offset + run.length }));
      if (!record) break;
      run.push(record);
      bytes += sizeOf(record);
    }
    return run;
  }

  #shrink(): void {
    for (const [key, record] of this.#records) {
      if (this.#records.size <= MAX_RECORDS && this.#bytes <= MAX_BYTES) return;
      this.#records.delete(key);
      this.#bytes -= sizeOf(record);
    }
  }
}

/** Undefined when there are no entries. */
export function sliceOf([first, ...rest]: readonly LogEntry[]): Slice | undefined {
  return first && { topic: first.topic, partition: first.partition, records: [first, ...rest] };
}

function sizeOf({ key, value, headers }: StoredRecord): number {
  let size = key.length + value.length;
  for (const name in headers) size += name.length + (headers[name]?.length ?? 0);
  return size;
}
