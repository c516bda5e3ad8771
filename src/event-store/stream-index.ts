import { ownHeaders } from '../events/envelope.ts';
import type { AnyEvent } from '../events/events.ts';
import { isRead } from '../postgres/generation-lock.ts';
import type { Accepted } from './judgement.ts';

/** A table of accepted records, by which the next records are judged. */
export interface StreamIndex {
  readonly ddl: string;
  /** Name of the unique key that a first record violates when its stream exists already. */
  readonly key: string;
  /** SQL that selects version and record id of the head of the stream `s.stream`. */
  readonly head: string;
  /** Statements that write the records; each joins `gate` and takes its rows as the parameter `$n`. */
  writes(accepted: readonly Accepted[]): { readonly sql: string; readonly rows: readonly unknown[] }[];
  /** SQL condition: no other generation is read. The namespace is `$3`. */
  readonly onlyServing: string;
}

const INSERT_EVENTS = `INSERT INTO stream_events
  SELECT r.stream, r.version, r.record_id, r.command_id, r.topic, r.partition, r."offset", r.type, r.body_hash, r.headers,
    decode(r.value, 'base64')
  FROM gate, json_to_recordset($n) AS r (stream text, version int, record_id uuid, command_id uuid, topic text, partition int,
    "offset" bigint, type text, body_hash text, headers json, value text) WHERE gate.open`;

/**
 * A process that begins to read another generation after this was evaluated reads the ends of the log later still, and waits
 * until that generation reaches them. So it waits for all that is committed here, which was in the log before.
 */
const ONLY_SERVING = `NOT EXISTS (
  SELECT FROM generations g WHERE g.state = 'serving' AND g.schema_name <> current_schema() AND ${isRead('g.id', '$3')})`;

function eventRow({ record, envelope }: Accepted) {
  const { topic, partition, offset, headers, value } = record;
  const { stream, version, type } = envelope;
  return {
    stream,
    version,
    record_id: envelope.id,
    command_id: envelope.commandId,
    topic,
    partition,
    offset,
    type,
    body_hash: envelope.bodyHash,
    headers: ownHeaders(headers),
    value: value.toString('base64'),
  };
}

/** Keeps every accepted record: the index of the log by stream, which the write side and histories read. */
export const streamEvents: StreamIndex = {
  ddl: `
CREATE TABLE stream_events (
  stream text COLLATE "C" NOT NULL,
  version integer NOT NULL,
  record_id uuid NOT NULL,
  command_id uuid NOT NULL,
  topic text NOT NULL,
  partition integer NOT NULL,
  "offset" bigint NOT NULL,
  type text NOT NULL,
  body_hash text NOT NULL,
  headers json NOT NULL,
  value bytea NOT NULL,
  PRIMARY KEY (stream, version)
);
CREATE INDEX stream_events_position ON stream_events (topic, partition, "offset");`,
  key: 'stream_events_pkey',
  head: 'SELECT version, record_id FROM stream_events e WHERE e.stream = s.stream ORDER BY version DESC LIMIT 1',
  writes: (accepted) => [{ sql: INSERT_EVENTS, rows: accepted.map(eventRow) }],
  onlyServing: ONLY_SERVING,
};

const INSERT_HEADS = `INSERT INTO stream_heads SELECT r.* FROM gate, json_to_recordset($n) AS r (stream text, version int, record_id uuid)
  WHERE gate.open`;
const UPDATE_HEADS = `UPDATE stream_heads h SET version = r.version, record_id = r.record_id
  FROM gate, json_to_recordset($n) AS r (stream text, version int, record_id uuid) WHERE gate.open AND h.stream = r.stream`;

/**
 * Keeps only the head of each stream whose first event `keeps` accepts. Of all other streams only the first record is then
 * judged right, and later ones lose. That does no harm to a consumer that needs none of them.
 */
export const headsOf = (keeps: (first: AnyEvent) => boolean): StreamIndex => ({
  ddl: `
CREATE TABLE stream_heads (
  stream text COLLATE "C" PRIMARY KEY,
  version integer NOT NULL,
  record_id uuid NOT NULL
) WITH (fillfactor = 80);`,
  key: 'stream_heads_pkey',
  head: 'SELECT version, record_id FROM stream_heads e WHERE e.stream = s.stream',
  writes(accepted) {
    const firsts = accepted.filter(({ envelope }) => envelope.version === 1);
    const isKeptByStream = new Map(firsts.map(({ envelope, payload }) => [envelope.stream, mayBeKept(payload, keeps)]));
    const heads = new Map(
      accepted.map(({ envelope: { stream, version, id } }) => [stream, { stream, version, record_id: id }]),
    );
    const rows = [...heads.values()];
    return [
      { sql: INSERT_HEADS, rows: rows.filter(({ stream }) => isKeptByStream.get(stream)) },
      { sql: UPDATE_HEADS, rows: rows.filter(({ stream }) => !isKeptByStream.has(stream)) },
    ];
  },
  onlyServing: '$3::text IS NOT NULL',
});

/** True for a payload that cannot be decoded, because its event is unknown. */
const mayBeKept = (payload: Accepted['payload'], keeps: (first: AnyEvent) => boolean): boolean =>
  typeof payload === 'string' || 'poison' in payload || keeps(payload.event);

/** Keeps the head of every stream. */
export const streamHeads = headsOf(() => true);
