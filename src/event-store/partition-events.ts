import type { TopicPartition } from '../events/record.ts';
import type { Database } from '../postgres/pool.ts';

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
