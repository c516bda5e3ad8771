import type { Winner } from '../event-store/judged-log.ts';
import { ByteWriter, type ColumnSource, ParquetWriter, schemaFromColumnData } from 'hyparquet-writer';
import { compressSync } from 'snappy';
import { dataOf, ENVELOPE_COLUMNS } from './columns.ts';
import { decoded, type DecodedEvent } from './log-reading.ts';

/** About 50 MB in memory. */
const ROW_GROUP = 50_000;

const COLUMNS = [
  ...ENVELOPE_COLUMNS.map((column) => ({ ...column, nullable: false })),
  { name: 'data', type: 'JSON', nullable: true, value: dataOf },
  { name: 'data_base64', type: 'STRING', nullable: true, value: bytesOf },
  { name: 'quarantinereason', type: 'STRING', nullable: true, value: reasonOf },
] as const;

function bytesOf({ payload, record }: DecodedEvent): string | null {
  return 'poison' in payload ? record.value.toString('base64') : null;
}

function reasonOf({ payload }: DecodedEvent): string | null {
  return 'poison' in payload ? payload.poison : null;
}

/** A row for each event: the envelope in typed columns, and the payload as JSON text. */
export async function* parquet(events: AsyncIterable<readonly Winner[]>): AsyncGenerator<Uint8Array, void> {
  const bytes = new Bytes();
  const schema = schemaFromColumnData({ columnData: columnsOf([]) });
  const writer = new ParquetWriter({ writer: bytes, schema, compressors: { SNAPPY: compressSync } });
  for await (const rows of groups(events)) {
    await writer.write({ columnData: columnsOf(rows), rowGroupSize: ROW_GROUP });
    yield bytes.take();
  }
  await writer.finish();
  yield bytes.take();
}

async function* groups(events: AsyncIterable<readonly Winner[]>): AsyncGenerator<DecodedEvent[], void> {
  let group: DecodedEvent[] = [];
  for await (const batch of events) {
    group.push(...batch.map(decoded));
    for (; group.length >= ROW_GROUP; group = group.slice(ROW_GROUP)) yield group.slice(0, ROW_GROUP);
  }
  if (group.length > 0) yield group;
}

const columnsOf = (rows: readonly DecodedEvent[]): ColumnSource[] =>
  COLUMNS.map(({ name, type, nullable, value }) => ({
    name,
    type,
    nullable,
    data: rows.map((row) => stored(type, value(row))),
  }));

function stored(type: (typeof COLUMNS)[number]['type'], value: string | number | object | null): unknown {
  if (value === null) return null;
  if (type === 'INT64' && typeof value === 'number') return BigInt(value);
  return type === 'TIMESTAMP' && typeof value === 'string' ? new Date(value) : value;
}

/** Collects what was written since it was last taken. */
class Bytes extends ByteWriter {
  take(): Uint8Array {
    const taken = this.getBytes().slice();
    this.index = 0;
    return taken;
  }
}
