import { ownHeaders } from '../events/envelope.ts';
import type { AnyEvent } from '../events/events.ts';
import { isRead } from '../postgres/generation-lock.ts';
import type { Accepted } from './judgement.ts';

/** What is kept of accepted records, so that the next ones can be judged. */
export interface StreamIndex {
  readonly ddl: string;
  /** Key that a first record breaks whose stream is there already. */
  readonly key: string;
  /** SQL of version and record id of the head of the stream `s.stream`. */
  readonly head: string;
  /** SQL that joins `gate`, with its rows as the parameter `$n`. */
  parts(accepted: readonly Accepted[]): { readonly sql: string; readonly rows: readonly unknown[] }[];
  /** SQL of whether nobody reads another build; the namespace is `$3`. */
  readonly onlyServing: string;
}

const INSERT_EVENTS = `INSERT INTO stream_events
  SELECT r.stream, r.version, r.record_id, r.command_id, r.topic, r.partition, r."offset", r.type, r.body_hash, r.headers,
    decode(r.value, 'base64')
  FROM gate, json_to_recordset($n) AS r (stream text, version int, record_id uuid, command_id uuid, topic text, partition int,
    "offset" bigint, type text, body_hash text, headers json, value text) WHERE gate.open`;

/**
 * Whoever begins to read another build after this was evaluated asks for the log's ends later still, and waits until his
 * build has all that is committed here: it was in the log before.
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

/** All of them, for reading: the index of the log by stream. */
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
);`,
  key: 'stream_events_pkey',
  head: 'SELECT version, record_id FROM stream_events e WHERE e.stream = s.stream ORDER BY version DESC LIMIT 1',
  parts: (accepted) => [{ sql: INSERT_EVENTS, rows: accepted.map(eventRow) }],
  onlyServing: ONLY_SERVING,
};

const INSERT_HEADS = `INSERT INTO stream_heads SELECT r.* FROM gate, json_to_recordset($n) AS r (stream text, version int, record_id uuid)
  WHERE gate.open`;
const UPDATE_HEADS = `UPDATE stream_heads h SET version = r.version, record_id = r.record_id
  FROM gate, json_to_recordset($n) AS r (stream text, version int, record_id uuid) WHERE gate.open AND h.stream = r.stream`;

/**
 * The last one of each stream, of those that begin with an event of `keeps`. Of all others every record but the first is then
 * a loser, which nobody minds who wants nothing of them.
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
  parts(accepted) {
    const firsts = accepted.filter(({ envelope }) => envelope.version === 1);
    const begun = new Map(firsts.map(({ envelope, payload }) => [envelope.stream, isKept(payload, keeps)]));
    const heads = new Map(
      accepted.map(({ envelope: { stream, version, id } }) => [stream, { stream, version, record_id: id }]),
    );
    const rows = [...heads.values()];
    return [
      { sql: INSERT_HEADS, rows: rows.filter(({ stream }) => begun.get(stream)) },
      { sql: UPDATE_HEADS, rows: rows.filter(({ stream }) => !begun.has(stream)) },
    ];
  },
  onlyServing: '$3::text IS NOT NULL',
});

/** What cannot be decoded might have been one of them. */
const isKept = (payload: Accepted['payload'], keeps: (first: AnyEvent) => boolean): boolean =>
  typeof payload === 'string' || 'poison' in payload || keeps(payload.event);

/** The last one of each stream. */
export const streamHeads = headsOf(() => true);
