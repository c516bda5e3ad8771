import { crc32 } from 'node:zlib';
import type { QueryConfig } from 'pg';
import type { BulkWrite } from './changes.ts';
import { CLOCK } from './cache-row.ts';
import { keyOf } from './table.ts';
import type { StreamIndex } from '../../event-store/stream-index.ts';
import type { CacheGuard, Commit } from './store.ts';
import type { Accepted } from '../../event-store/judgement.ts';

/** SQLSTATE raised by `require_moved` when a checkpoint is not at the expected offset. */
export const MISSED = 'OM001';
/** SQLSTATE raised by `require_cached` when the cache does not meet the cache guard. */
export const CACHE_CHANGED = 'OM002';

/** DDL of what every schema with tables of projections holds beside them. */
export const checkpointDdl = `
CREATE TABLE checkpoints (
  topic text NOT NULL,
  partition integer NOT NULL,
  next bigint NOT NULL DEFAULT 0,
  fence integer NOT NULL DEFAULT 0,
  fingerprint text NOT NULL DEFAULT '',
  leader_epoch integer NOT NULL DEFAULT 0,
  stopped text,
  PRIMARY KEY (topic, partition)
) WITH (fillfactor = 50);

CREATE TABLE quarantine (
  stream text COLLATE "C" PRIMARY KEY,
  version integer NOT NULL,
  record_id uuid NOT NULL,
  topic text NOT NULL,
  partition integer NOT NULL,
  "offset" bigint NOT NULL,
  reason text NOT NULL,
  since timestamptz NOT NULL DEFAULT now()
);

CREATE FUNCTION require_moved(moved bigint, wanted bigint) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
  IF moved <> wanted THEN
    RAISE EXCEPTION 'a checkpoint is not where it was expected' USING ERRCODE = '${MISSED}';
  END IF;
  RETURN true;
END $$;

CREATE FUNCTION require_cached(as_provided boolean) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
  IF NOT as_provided THEN
    RAISE EXCEPTION 'the cache is not as it was provided for' USING ERRCODE = '${CACHE_CHANGED}';
  END IF;
  RETURN true;
END $$;`;

/** The lock keeps other processes from replacing the row before the commit. */
const CACHE_GUARD = `cache AS (
  SELECT FROM cache_state WHERE id = $4 AND ($5::float8 IS NULL OR ${CLOCK} < $5) FOR SHARE
), `;

const MOVE = (cacheGuard: boolean) => `moved AS (
  UPDATE checkpoints c SET next = m.next, fingerprint = m.fingerprint, leader_epoch = m.leader_epoch, stopped = NULL
  FROM json_to_recordset($1) AS m (topic text, partition int, expected bigint, fence int, next bigint, fingerprint text, leader_epoch int)
  WHERE c.topic = m.topic AND c.partition = m.partition AND c.next = m.expected AND c.fence = m.fence
  RETURNING 1
), gate AS (
  SELECT require_moved(count(*), $2)${cacheGuard ? ' AND require_cached((SELECT count(*) = 1 FROM cache))' : ''} AS open FROM moved
)`;

const QUARANTINE = `INSERT INTO quarantine (stream, version, record_id, topic, partition, "offset", reason)
  SELECT r.* FROM gate, json_to_recordset($n) AS r (stream text, version int, record_id uuid, topic text, partition int,
    "offset" bigint, reason text) WHERE gate.open`;

export interface CommitOptions {
  readonly namespace: string;
  readonly streamIndex: StreamIndex;
  readonly cacheGuard?: CacheGuard;
}

/**
 * A whole commit as one statement, so that a batch costs one round trip. Every part joins `gate`, which fails the
 * statement unless all checkpoints moved. The parts differ from batch to batch; equal ones share a prepared statement.
 */
export function commitStatement(
  { moves, accepted }: Commit,
  writes: readonly BulkWrite[],
  { namespace, streamIndex, cacheGuard }: CommitOptions,
): QueryConfig {
  const expected = moves.map(({ topic, partition, from, to }) => ({
    topic,
    partition,
    expected: from.next,
    fence: from.fence,
    next: to.next,
    fingerprint: to.fingerprint,
    leader_epoch: to.leaderEpoch,
  }));
  const values: unknown[] = [JSON.stringify(expected), moves.length, namespace];
  if (cacheGuard) values.push(cacheGuard.id, cacheGuard.before ?? null);
  const parts: string[] = [];
  const add = (sql: string, rows: readonly unknown[]) => {
    if (rows.length === 0) return;
    const parameter = `$${values.push(JSON.stringify(rows))}`;
    parts.push(`part${parts.length} AS (${sql.replaceAll('$n', parameter)})`);
  };
  for (const { sql, rows } of streamIndex.writes(accepted)) add(sql, rows);
  add(QUARANTINE, accepted.flatMap(quarantineRow));
  for (const write of writes) add(bulkSql(write), write.rows);
  const text = `WITH ${cacheGuard ? CACHE_GUARD : ''}${[MOVE(cacheGuard !== undefined), ...parts].join(', ')} SELECT ${streamIndex.onlyServing} AS "onlyServing" FROM gate WHERE open`;
  return { name: `commit-${crc32(text).toString(16)}`, text, values };
}

function quarantineRow({ record, envelope, payload }: Accepted) {
  if (typeof payload === 'string' || !('poison' in payload)) return [];
  const { topic, partition, offset } = record;
  const { stream, version, id } = envelope;
  return [{ stream, version, record_id: id, topic, partition, offset, reason: payload.poison }];
}

/** A bulk write that happens only when the gate is open; its rows are the parameter `$n`. */
export function bulkSql({ table, kind, columns }: BulkWrite): string {
  const key = keyOf(table);
  const typed = columns.map((column) => `${column} ${table.columns[column] ?? 'text'}`).join(', ');
  const others = columns.filter((column) => column !== key);
  const source = `gate, json_to_recordset($n) AS r (${typed})`;
  const insert = `INSERT INTO ${table.name} AS t (${columns.join(', ')})
    SELECT ${columns.map((column) => `r.${column}`).join(', ')} FROM ${source} WHERE gate.open
    ON CONFLICT (${key}) DO UPDATE SET`;
  switch (kind) {
    case 'put':
      return `${insert} ${others.map((column) => `${column} = excluded.${column}`).join(', ')}`;
    case 'add':
      return `${insert} ${others.map((column) => `${column} = t.${column} + excluded.${column}`).join(', ')}`;
    case 'patch':
      return `UPDATE ${table.name} t SET ${others.map((column) => `${column} = r.${column}`).join(', ')}
        FROM ${source} WHERE gate.open AND t.${key} = r.${key}`;
    case 'remove':
      return `DELETE FROM ${table.name} t USING ${source} WHERE gate.open AND t.${key} = r.${key}`;
  }
}
