import { decodeEvent } from '../events/codec.ts';
import type { TopicPartition } from '../events/record.ts';
import type { Database } from '../postgres/pool.ts';
import { isRead } from '../postgres/generation-lock.ts';
import { batch } from '../concurrency/batch.ts';
import type { Claim, StreamSnapshot, StreamStore, Verdict } from './stream-store.ts';

/** Streams that one query reads. */
const MAX_STREAMS = 100;

/** Reads over the connections of the read models, which pass the crash guard before their first use. */
export function createPostgresStreams(database: Database, namespace: string): StreamStore {
  const load = batch((wanted: readonly Wanted[]) => loadAll(database, wanted), MAX_STREAMS);
  return {
    load: (stream, where, after, command) => load({ stream, ...where, after, command }),
    verdicts: (claims) => readVerdicts(database, namespace, claims),
  };
}

interface Wanted extends TopicPartition {
  readonly stream: string;
  readonly after: number;
  readonly command: string;
}

interface LoadedRow {
  /** Position of the request in the batch, from 1. */
  readonly place: number;
  readonly version: number | null;
  readonly id: string;
  readonly commandId: string;
  readonly bodyHash: string;
  readonly type: string;
  readonly value: Buffer;
  readonly quarantined: string | null;
  readonly stopped: string | null;
}

const LOAD = `SELECT w.place, e.version, e.record_id AS id, e.command_id AS "commandId", e.body_hash AS "bodyHash", e.type, e.value,
    q.reason AS quarantined, c.stopped
  FROM unnest($1::text[], $2::text[], $3::int[], $4::int[], $5::uuid[])
    WITH ORDINALITY AS w (stream, topic, partition, after, command, place)
  JOIN checkpoints c ON c.topic = w.topic AND c.partition = w.partition
  LEFT JOIN quarantine q ON q.stream = w.stream
  LEFT JOIN LATERAL (
    SELECT * FROM stream_events e WHERE e.stream = w.stream AND (e.version > w.after OR e.command_id = w.command)) e ON true
  ORDER BY w.place, e.version`;

async function loadAll(database: Database, wanted: readonly Wanted[]): Promise<StreamSnapshot[]> {
  const values = [
    wanted.map(({ stream }) => stream),
    wanted.map(({ topic }) => topic),
    wanted.map(({ partition }) => partition),
    wanted.map(({ after }) => after),
    wanted.map(({ command }) => command),
  ];
  const rows = await database.query<LoadedRow>({ name: 'load-streams', text: LOAD, values });
  const found = Map.groupBy(rows, ({ place }) => place);
  return wanted.map((each, index) => snapshotOf(each, found.get(index + 1) ?? []));
}

function snapshotOf({ after, command }: Wanted, rows: readonly LoadedRow[]): StreamSnapshot {
  const own = rows.find((row) => row.version !== null && row.commandId === command);
  const quarantined = rows[0]?.quarantined ?? undefined;
  const events = quarantined === undefined ? rows.flatMap((row) => eventOf(row, after)) : [];
  return {
    events,
    repeated: own && { version: own.version ?? 0, id: own.id, bodyHash: own.bodyHash },
    quarantined,
    stopped: rows[0]?.stopped ?? undefined,
  };
}

function eventOf({ version, id, type, value }: LoadedRow, after: number) {
  return version !== null && version > after ? [{ version, id, event: decodeEvent(type, value) }] : [];
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

/** A verdict is final once the version is in every serving generation that a process reads. */
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

/** Makes the verdicts pending whose version is not in that other generation yet. */
async function keepPending(database: Database, schema: string, claims: readonly Claim[], verdicts: Verdict[]) {
  const text = `SELECT e.stream IS NOT NULL AS here
    FROM unnest($1::text[], $2::int[]) WITH ORDINALITY AS w (stream, version, place)
    LEFT JOIN "${schema}".stream_events e ON e.stream = w.stream AND e.version = w.version ORDER BY w.place`;
  const rows = await database.query<{ here: boolean }>({ text, values: columnsOf(claims).slice(0, 2) });
  for (const [index, { here }] of rows.entries()) if (!here) verdicts[index] = { kind: 'pending' };
}
