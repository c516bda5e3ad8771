import { decodeEvent } from '../events/codec.ts';
import type { TopicPartition } from '../events/record.ts';
import type { Database } from '../postgres/pool.ts';
import { isRead } from '../postgres/generation-lock.ts';
import type { Claim, StreamSnapshot, StreamStore, Verdict } from './stream-store.ts';

/** Over the read model's connections: what is not guarded there is not seen here either. */
export function createPostgresStreams(database: Database, namespace: string): StreamStore {
  return {
    load: (stream, where, afterVersion, commandId) => load(database, stream, where, afterVersion, commandId),
    verdicts: (claims) => readVerdicts(database, namespace, claims),
  };
}

interface LoadedRow {
  readonly version: number | null;
  readonly id: string;
  readonly commandId: string;
  readonly bodyHash: string;
  readonly type: string;
  readonly value: Buffer;
  readonly quarantined: string | null;
  readonly stopped: string | null;
}

const LOAD = `SELECT e.version, e.record_id AS id, e.command_id AS "commandId", e.body_hash AS "bodyHash", e.type, e.value,
    q.reason AS quarantined, c.stopped
  FROM checkpoints c
  LEFT JOIN quarantine q ON q.stream = $1
  LEFT JOIN stream_events e ON e.stream = $1 AND (e.version > $4 OR e.command_id = $5)
  WHERE c.topic = $2 AND c.partition = $3
  ORDER BY e.version`;

async function load(
  database: Database,
  stream: string,
  { topic, partition }: TopicPartition,
  afterVersion: number,
  commandId: string,
): Promise<StreamSnapshot> {
  const values = [stream, topic, partition, afterVersion, commandId];
  const rows = await database.query<LoadedRow>({ name: 'load-stream', text: LOAD, values });
  const own = rows.find((row) => row.version !== null && row.commandId === commandId);
  const quarantined = rows[0]?.quarantined ?? undefined;
  const events = quarantined === undefined ? rows.flatMap((row) => eventOf(row, afterVersion)) : [];
  return {
    events,
    repeated: own && { version: own.version ?? 0, id: own.id, bodyHash: own.bodyHash },
    quarantined,
    stopped: rows[0]?.stopped ?? undefined,
  };
}

function eventOf({ version, id, type, value }: LoadedRow, afterVersion: number) {
  return version !== null && version > afterVersion ? [{ version, id, event: decodeEvent(type, value) }] : [];
}

interface VerdictRow {
  readonly id: string | null;
  readonly quarantined: string | null;
  readonly stopped: string | null;
  readonly others: readonly string[] | null;
}

const VERDICTS = `SELECT e.record_id AS id, q.reason AS quarantined, c.stopped, others.list AS others
  FROM unnest($1::text[], $2::int[], $3::text[], $4::int[]) WITH ORDINALITY AS w (stream, version, topic, partition, place)
  LEFT JOIN stream_events e ON e.stream = w.stream AND e.version = w.version
  LEFT JOIN quarantine q ON q.stream = w.stream AND q.version <= w.version
  LEFT JOIN checkpoints c ON c.topic = w.topic AND c.partition = w.partition
  CROSS JOIN (
    SELECT json_agg(g.schema_name) AS list FROM generations g
    WHERE g.state = 'serving' AND g.schema_name <> current_schema() AND ${isRead('g.id', '$5')}) AS others
  ORDER BY w.place`;

/** An accepted version counts once it stands in every serving build that somebody reads. */
async function readVerdicts(database: Database, namespace: string, claims: readonly Claim[]): Promise<Verdict[]> {
  const values = [...columnsOf(claims), namespace];
  const rows = await database.query<VerdictRow>({ name: 'verdicts', text: VERDICTS, values });
  const verdicts = claims.map((claim, index) => verdictOf(claim, rows[index]));
  for (const schema of rows[0]?.others ?? []) await keepPending(database, schema, claims, verdicts);
  return verdicts;
}

function columnsOf(claims: readonly Claim[]): unknown[][] {
  return [
    claims.map(({ stream }) => stream),
    claims.map(({ version }) => version),
    claims.map(({ topic }) => topic),
    claims.map(({ partition }) => partition),
  ];
}

function verdictOf({ recordId }: Claim, row: VerdictRow | undefined): Verdict {
  if (row?.id == null) return row?.stopped == null ? { kind: 'pending' } : { kind: 'stopped', reason: row.stopped };
  if (row.quarantined !== null) return { kind: 'quarantined', reason: row.quarantined };
  return { kind: row.id === recordId ? 'won' : 'lost' };
}

/** Turns verdicts back to pending whose version is not in that other build yet. */
async function keepPending(database: Database, schema: string, claims: readonly Claim[], verdicts: Verdict[]) {
  const text = `SELECT e.stream IS NOT NULL AS here
    FROM unnest($1::text[], $2::int[]) WITH ORDINALITY AS w (stream, version, place)
    LEFT JOIN "${schema}".stream_events e ON e.stream = w.stream AND e.version = w.version ORDER BY w.place`;
  const rows = await database.query<{ here: boolean }>({ text, values: columnsOf(claims).slice(0, 2) });
  for (const [index, { here }] of rows.entries()) if (!here) verdicts[index] = { kind: 'pending' };
}
