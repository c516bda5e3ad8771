import type { Position } from '../../events/record.ts';
import type { Database } from '../../postgres/pool.ts';
import { type LogEntry, missing } from '../entry.ts';
import { storedRecord } from './append.ts';
import type { FetchLimits } from './tail.ts';

/** The entries of one partition from a position on. */
export interface Found {
  readonly records: LogEntry[];
  /** The partition's end when it was read. */
  readonly end: Position;
}

interface Lying {
  offset: number;
  key: string;
  value: Buffer;
  headers: Record<string, string>;
}

/** Has no record where none is stored up to the end. */
type Row = { slot: number; end: number } & (Lying | Record<keyof Lying, null>);

/** Reads all partitions in one query. A partition with nothing to read costs one index lookup and no row. */
const READ = {
  name: 'log read',
  text: `
    SELECT wanted.slot, found."offset", found.key, found.value, found.headers, p.next_offset AS "end"
    FROM unnest($1::text[], $2::int[], $3::bigint[]) WITH ORDINALITY AS wanted(topic, partition, "offset", slot)
    JOIN log_partitions p USING (topic, partition)
    LEFT JOIN LATERAL (
      SELECT *, sum(size) OVER (ORDER BY "offset") - size AS before
      FROM (
        SELECT r."offset", r.key, r.value, r.headers,
               octet_length(r.key) + octet_length(r.value) + octet_length(r.headers::text) AS size
        FROM log_records r
        WHERE r.topic = wanted.topic AND r.partition = wanted.partition AND r."offset" >= wanted."offset"
        ORDER BY r."offset" LIMIT $4
      ) AS next
    ) AS found ON true
    WHERE found.before < $5 OR (found."offset" IS NULL AND p.next_offset > wanted."offset")`,
};

/** The entries at and after the positions, for those partitions that extend so far. */
export async function readFrom(database: Database, wanted: readonly Position[], limits: FetchLimits): Promise<Found[]> {
  const rows = await database.query<Row>({ ...READ, values: [...columns(wanted), limits.records, limits.bytes] });
  const bySlot = Map.groupBy(rows, ({ slot }) => slot);
  return wanted.flatMap((position, index) => found(position, bySlot.get(index + 1) ?? []));
}

const columns = (wanted: readonly Position[]) => [
  wanted.map(({ topic }) => topic),
  wanted.map(({ partition }) => partition),
  wanted.map(({ offset }) => offset),
];

function found(where: Position, rows: readonly Row[]): Found[] {
  const [first] = rows;
  if (!first) return [];
  const end = { ...where, offset: first.end };
  const lying = rows.filter((row) => row.offset !== null).toSorted((a, b) => a.offset - b.offset);
  const records = lying.map((row) => storedRecord(where, row.offset, row));
  return [{ records: records.length > 0 ? records : [missing(where, where.offset, end.offset - 1)], end }];
}
