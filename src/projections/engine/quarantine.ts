import { reasonOf } from '../../errors.ts';
import { type Client, type Database, transaction } from '../../postgres/pool.ts';
import { eventOf } from '../../event-store/judge.ts';
import { eventsFrom, type StreamRecord } from '../../event-store/stream-events.ts';
import { mustStay } from './cache-row.ts';
import { changesOf, isPoison } from './postgres-store.ts';
import type { AppliedEvent } from './applied-event.ts';
import type { Projection } from './table.ts';
import { bulkSql } from './statement.ts';

/** A stream that is closed because an accepted record of it could not be decoded or applied. */
export interface Quarantined {
  readonly stream: string;
  /** Version of the first record that is not applied. */
  readonly version: number;
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  readonly reason: string;
  readonly since: Date;
}

export function listQuarantine(database: Database): Promise<Quarantined[]> {
  const columns = 'stream, version, topic, partition, "offset", reason, since';
  return database.query<Quarantined>({ text: `SELECT ${columns} FROM quarantine ORDER BY since, stream` });
}

/**
 * Applies the stored events of a quarantined stream as far as that is possible now. Moves the fence of the stream's partition,
 * so that a projector that remembers the stream as closed forgets it. Returns the stream's new entry, undefined if it is open.
 * `cacheOff` comes from `turnOffForChanges`; it is undefined only where nothing is cached.
 */
export function release(
  database: Database,
  projections: readonly Projection[],
  stream: string,
  cacheOff?: string,
): Promise<Quarantined | undefined> {
  return database.use((client) =>
    transaction(client, async () => {
      if (cacheOff !== undefined) await mustStay(client, cacheOff);
      const entry = await fence(client, stream);
      if (!entry) return undefined;
      for (const kept of await eventsFrom(client, stream, entry.version)) {
        const reason = await tryApply(client, projections, stream, kept);
        if (reason !== undefined) return await closeAt(client, entry, kept, reason);
      }
      await client.query('DELETE FROM quarantine WHERE stream = $1', [stream]);
      return undefined;
    }),
  );
}

/** Locks the partition's checkpoint before anything is read, so that no projector commits in between. */
async function fence(client: Client, stream: string): Promise<Quarantined | undefined> {
  await client.query(
    `UPDATE checkpoints c SET fence = fence + 1 FROM quarantine q
      WHERE q.stream = $1 AND c.topic = q.topic AND c.partition = q.partition`,
    [stream],
  );
  return (await client.query<Quarantined>('SELECT * FROM quarantine WHERE stream = $1', [stream])).rows[0];
}

/** Applies one event under a savepoint. Returns why it cannot be applied. */
async function tryApply(
  client: Client,
  projections: readonly Projection[],
  stream: string,
  kept: StreamRecord,
): Promise<string | undefined> {
  await client.query('SAVEPOINT one_event');
  try {
    await applyEvents(client, projections, [toApplied(stream, kept)]);
    return undefined;
  } catch (error) {
    await client.query('ROLLBACK TO SAVEPOINT one_event');
    if (error instanceof Undecodable || isPoison(error)) return reasonOf(error);
    throw error;
  }
}

class Undecodable extends Error {}

function toApplied(stream: string, { version, type, headers, value }: StreamRecord): AppliedEvent {
  try {
    const { ce_time: time = '', ce_actor: actor = '' } = headers;
    return { stream, version, time, actor, event: eventOf({ key: stream, headers, value }, type) };
  } catch (error) {
    throw new Undecodable(reasonOf(error));
  }
}

async function applyEvents(client: Client, projections: readonly Projection[], events: readonly AppliedEvent[]) {
  for (const write of changesOf(projections, events).flatMap((changes) => changes.writes())) {
    const text = `WITH gate AS (SELECT true AS open) ${bulkSql(write).replaceAll('$n', '$1')}`;
    await client.query(text, [JSON.stringify(write.rows)]);
  }
}

async function closeAt(client: Client, entry: Quarantined, kept: StreamRecord, reason: string): Promise<Quarantined> {
  const { rows } = await client.query<Quarantined>(
    'UPDATE quarantine SET version = $2, record_id = $3, "offset" = $4, reason = $5 WHERE stream = $1 RETURNING *',
    [entry.stream, kept.version, kept.recordId, kept.offset, reason],
  );
  return rows[0] ?? entry;
}
