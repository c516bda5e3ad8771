import type { TopicPartition } from '../../events/record.ts';
import { reasonOf } from '../../errors.ts';
import { constraintOf, type Database, sqlState, transaction } from '../../postgres/pool.ts';
import { Changes } from './changes.ts';
import { type StreamIndex, streamEvents } from '../../event-store/stream-index.ts';
import type { AppliedEvent } from './applied-event.ts';
import type { Projection } from './table.ts';
import { CACHE_CHANGED, commitStatement, MISSED } from './statement.ts';
import { type CommitOutcome, Poison, type ProjectionStore } from './store.ts';
import type { Accepted, ExpectedCheckpoint, StoredCheckpoint, StreamHead } from '../../event-store/judgement.ts';

/** The store of one generation. `database` finds the generation's schema on its search path and is the projector's own. */
export function createPostgresStore(
  database: Database,
  projections: readonly Projection[],
  namespace: string,
  streamIndex: StreamIndex = streamEvents,
): ProjectionStore {
  return {
    checkpoints: (partitions) =>
      database.query<StoredCheckpoint>({
        text: `SELECT c.topic, c.partition, c.next, c.fence, c.fingerprint, c.leader_epoch AS "leaderEpoch", c.stopped
          FROM checkpoints c JOIN json_to_recordset($1) AS p (topic text, partition int) USING (topic, partition)`,
        values: [JSON.stringify(partitions)],
      }),
    heads: (streams, at) => readHeads(database, streamIndex, streams, at),
    async commit(commit, cacheGuard) {
      const writes = changesOf(projections, commit.accepted.flatMap(appliedOf)).flatMap((changes) => changes.writes());
      const rows = database.query<{ onlyServing: boolean }>(
        commitStatement(commit, writes, { namespace, streamIndex, cacheGuard }),
      );
      return rows.then(([row]) => ({ onlyServing: row?.onlyServing ?? false }), refusalBy(streamIndex));
    },
    noteStopped: (partition, reason) => noteStopped(database, partition, reason),
  };
}

/** Commits synchronously, and so makes all earlier commits durable: readers rely on what a stopped partition has shown. */
function noteStopped(database: Database, { topic, partition }: TopicPartition, reason: string | null): Promise<void> {
  return database.use((client) =>
    transaction(client, async () => {
      await client.query('SET LOCAL synchronous_commit = on');
      const text = 'UPDATE checkpoints SET stopped = $3 WHERE topic = $1 AND partition = $2';
      await client.query(text, [topic, partition, reason]);
    }),
  );
}

interface HeadRow {
  /** How many of the checkpoints are at the expected offset. */
  readonly here: number;
  readonly stream: string | null;
  readonly version: number;
  readonly id: string;
  readonly closed: boolean;
}

const HEADS = ({ head }: StreamIndex) => `SELECT b.here, h.stream, h.version, h.id, h.closed
  FROM (
    SELECT count(*) AS here FROM json_to_recordset($2) AS p (topic text, partition int, next bigint, fence int)
    JOIN checkpoints c USING (topic, partition, next, fence)
  ) b
  LEFT JOIN (
    SELECT s.stream, l.version, l.record_id AS id, q.stream IS NOT NULL AS closed
    FROM unnest($1::text[]) AS s (stream)
    CROSS JOIN LATERAL (${head}) l
    LEFT JOIN quarantine q ON q.stream = s.stream
  ) h ON true`;

async function readHeads(
  database: Database,
  streamIndex: StreamIndex,
  streams: readonly string[],
  at: readonly ExpectedCheckpoint[],
) {
  const expected = at.map(({ topic, partition, from }) => ({ topic, partition, next: from.next, fence: from.fence }));
  const rows = await database.query<HeadRow>({
    name: 'heads',
    text: HEADS(streamIndex),
    values: [streams, JSON.stringify(expected)],
  });
  if (rows[0]?.here !== at.length) return 'missed' as const;
  return new Map(
    rows.flatMap(({ stream, version, id, closed }): [string, StreamHead][] =>
      stream === null ? [] : [[stream, { version, id, closed }]],
    ),
  );
}

/** The outcome of a commit that the server refused; throws when the outcome is unknown. */
const refusalBy =
  ({ key }: StreamIndex) =>
  (error: unknown): CommitOutcome => {
    if (sqlState(error) === MISSED) return 'missed';
    if (sqlState(error) === CACHE_CHANGED) return 'cache-changed';
    if (constraintOf(error) === key) return 'not-new';
    throw isPoison(error) ? new Poison(reasonOf(error), error) : error;
  };

/** The changes that events make to the table of each projection. */
export function changesOf(projections: readonly Projection[], events: readonly AppliedEvent[]): Changes[] {
  return projections.map((projection) => {
    const changes = new Changes(projection.table);
    for (const event of events) projection.apply(event, changes);
    return changes;
  });
}

export function appliedOf({ envelope, payload }: Accepted): AppliedEvent[] {
  if (typeof payload === 'string' || 'poison' in payload) return [];
  const { stream, version, time, actor } = envelope;
  return [{ stream, version, time, actor, event: payload.event }];
}

/**
 * Whether a row is refused for its content: data exceptions, integrity violations, and rows too large for an index (54000).
 * Other errors come from our code or pass by themselves.
 */
export const isPoison = (error: unknown): boolean => /^(?:2[23]|54000)/.test(sqlState(error) ?? '');
