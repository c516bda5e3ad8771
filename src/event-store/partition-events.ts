import type { TopicPartition } from '../events/record.ts';
import type { Database } from '../postgres/pool.ts';
import type { Head } from './arbitrate.ts';

/** Reads accepted records by partition, of the generation whose schema is named. */
type Queryable = Pick<Database, 'query'>;

/** One partition in the read models of one generation. */
export interface SchemaPartition extends TopicPartition {
  readonly schema: string;
}

/** An accepted record. */
export interface IndexedRecord {
  readonly offset: number;
  readonly id: string;
  readonly stream: string;
  readonly headers: Record<string, string>;
  readonly value: Buffer;
}

/** Offset and record id of each accepted record before the offset. */
export const recordIdsBefore = (database: Queryable, { schema, topic, partition }: SchemaPartition, before: number) =>
  database.query<Pick<IndexedRecord, 'offset' | 'id'>>({
    text: `SELECT "offset", record_id AS id FROM "${schema}".stream_events
      WHERE topic = $1 AND partition = $2 AND "offset" < $3`,
    values: [topic, partition, before],
  });

/** Accepted records from the offset on, in the order of the log, at most `limit` of them. */
export const recordsFrom = (
  database: Queryable,
  { schema, topic, partition }: SchemaPartition,
  from: number,
  limit: number,
) =>
  database.query<IndexedRecord>({
    text: `SELECT "offset", record_id AS id, stream, headers, value FROM "${schema}".stream_events
      WHERE topic = $1 AND partition = $2 AND "offset" >= $3 ORDER BY "offset" LIMIT $4`,
    values: [topic, partition, from, limit],
  });

/** How many accepted events from the offset on are of each type, by type. */
export const countTypesFrom = (database: Queryable, { schema, topic, partition }: SchemaPartition, from: number) =>
  database.query<{ readonly type: string; readonly count: number }>({
    text: `SELECT type, count(*)::int AS count FROM "${schema}".stream_events
      WHERE topic = $1 AND partition = $2 AND "offset" >= $3 GROUP BY type ORDER BY type`,
    values: [topic, partition, from],
  });

/** Ids of the accepted records of one stream. */
export async function recordIdsOf(database: Queryable, schema: string, stream: string): Promise<string[]> {
  const text = `SELECT record_id AS id FROM "${schema}".stream_events WHERE stream = $1`;
  return (await database.query<{ id: string }>({ text, values: [stream] })).map(({ id }) => id);
}

/** The next offset that the generation applies. */
export async function checkpointOf(
  database: Queryable,
  { schema, topic, partition }: SchemaPartition,
): Promise<number> {
  const text = `SELECT next FROM "${schema}".checkpoints WHERE topic = $1 AND partition = $2`;
  const [row] = await database.query<{ next: number }>({ text, values: [topic, partition] });
  return row?.next ?? 0;
}

type Row = { readonly stream: string; readonly next: number } & (Head | Record<keyof Head, null>);

/** Heads of the streams before an offset of their partition, in one snapshot with its checkpoint. Throws when that is lower. */
export async function headsBefore(
  database: Queryable,
  { schema, topic, partition }: SchemaPartition,
  before: number,
  streams: readonly string[],
): Promise<Map<string, Head>> {
  const rows = await database.query<Row>({
    text: `SELECT c.next, s.stream, h.version, h.id FROM "${schema}".checkpoints c CROSS JOIN unnest($3::text[]) AS s (stream)
      LEFT JOIN LATERAL (SELECT e.version, e.record_id AS id FROM "${schema}".stream_events e
        WHERE e.stream = s.stream AND e."offset" < $4 ORDER BY e.version DESC LIMIT 1) h ON true
      WHERE c.topic = $1 AND c.partition = $2`,
    values: [topic, partition, streams, before],
  });
  const next = rows[0]?.next ?? before;
  if (next < before) throw new Error(`The read models went back to ${topic}/${partition}@${next}. Run it again.`);
  return new Map(rows.flatMap(({ stream, version, id }) => (version === null ? [] : [[stream, { version, id }]])));
}

/** Accepted records of the stream before an offset of its partition, by version. */
export const recordsOfStream = (
  database: Queryable,
  { schema, topic, partition }: SchemaPartition,
  stream: string,
  before: number,
) =>
  database.query<IndexedRecord>({
    text: `SELECT "offset", record_id AS id, stream, headers, value FROM "${schema}".stream_events
      WHERE stream = $1 AND topic = $2 AND partition = $3 AND "offset" < $4 ORDER BY version`,
    values: [stream, topic, partition, before],
  });
