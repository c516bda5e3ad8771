import type { Envelope } from '../events/envelope.ts';
import type { LogRecord, StoredRecord } from '../events/record.ts';
import type { Client, Database } from '../postgres/pool.ts';

/** Reads accepted events by stream. `partition-events.ts` reads them by partition. */
type Queryable = Pick<Database, 'query'>;

/** An accepted event as it is stored; `decodeEvent(type, value)` gives the event. */
export interface StreamEvent {
  readonly stream: string;
  readonly version: number;
  readonly type: string;
  readonly value: Buffer;
}

const AFTER = `SELECT e.stream, e.version, e.type, e.value
  FROM unnest($1::text[], $2::int[]) AS w (stream, version) CROSS JOIN LATERAL (
    SELECT * FROM stream_events e WHERE e.stream = w.stream AND e.version > w.version ORDER BY e.version LIMIT $3) e
  ORDER BY e.stream, e.version`;

/** Events after the given version of each stream, by stream and version; at most `limit` of each stream. */
export const eventsAfter = (database: Queryable, versions: ReadonlyMap<string, number>, limit: number) =>
  database.query<StreamEvent>({
    name: 'events-after',
    text: AFTER,
    values: [[...versions.keys()], [...versions.values()], limit],
  });

/** Events of the stream up to and including the version, in order. */
export const eventsUntil = (database: Queryable, stream: string, version: number) =>
  database.query<StreamEvent>({
    name: 'events-until',
    text: 'SELECT stream, version, type, value FROM stream_events WHERE stream = $1 AND version <= $2 ORDER BY version',
    values: [stream, version],
  });

/** Events of streams of one topic before the given offset of each partition of it, by stream and version. */
export const eventsBeforeOffsets = (database: Queryable, streams: readonly string[], offsets: readonly number[]) =>
  database.query<StreamEvent>({
    name: 'events-before-offsets',
    text: `SELECT e.stream, e.version, e.type, e.value
      FROM unnest($1::text[]) AS wanted (stream) JOIN stream_events e ON e.stream = wanted.stream
      WHERE e."offset" < ($2::bigint[])[e.partition + 1] ORDER BY e.stream, e.version`,
    values: [streams, offsets],
  });

/** The first event of the stream with the hash of its request's body; undefined for a stream without events. */
export async function firstEvent(database: Queryable, stream: string) {
  const [row] = await database.query<StreamEvent & { readonly bodyHash: string }>({
    name: 'first-event',
    text: 'SELECT stream, version, type, value, body_hash AS "bodyHash" FROM stream_events WHERE stream = $1 AND version = 1',
    values: [stream],
  });
  return row;
}

/** Whether the command had its effect on the stream. */
export async function hasCommand(database: Queryable, stream: string, commandId: string): Promise<boolean> {
  const text = 'SELECT FROM stream_events WHERE stream = $1 AND command_id = $2';
  return (await database.query({ name: 'has-command', text, values: [stream, commandId] })).length > 0;
}

/** An accepted event with its place and headers. */
export interface StreamRecord extends StreamEvent {
  readonly recordId: string;
  readonly offset: number;
  readonly headers: LogRecord['headers'];
}

/** Events of the stream from the version on, in order. */
export async function eventsFrom(client: Client, stream: string, version: number): Promise<StreamRecord[]> {
  const { rows } = await client.query<StreamRecord>(
    `SELECT stream, version, record_id AS "recordId", "offset", type, headers, value FROM stream_events
      WHERE stream = $1 AND version >= $2 ORDER BY version`,
    [stream, version],
  );
  return rows;
}

/** `offset` is not that of the event but of the next record that its partition applies. */
export type EventAndCheckpoint = Pick<Envelope, 'stream' | 'type' | 'version' | 'id'> & StoredRecord;

/** Events of the streams, each with the checkpoint of its partition, of one snapshot of a generation's schema. */
export async function eventsWithCheckpoints(client: Client, schema: string, streams: readonly string[]) {
  const { rows } = await client.query<EventAndCheckpoint>(
    `SELECT c.topic, c.partition, c.next AS "offset", e.stream, e.version, e.record_id AS id, e.type, e.headers, e.value
      FROM "${schema}".checkpoints c JOIN "${schema}".stream_events e USING (topic, partition)
      WHERE e.stream = ANY($1) ORDER BY e.stream, e.version`,
    [streams],
  );
  return rows;
}
