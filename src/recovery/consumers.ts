import { SCOPES } from '../consumers/scopes.ts';
import type { Placement } from '../events/placement.ts';
import type { TopicPartition } from '../events/record.ts';
import { queueSchema } from '../jobs/queue-feed.ts';
import { identityOf } from '../log/entry.ts';
import type { EventLog } from '../log/event-log.ts';
import { lockClass } from '../postgres/generation-lock.ts';
import { type Client, type Database, transaction } from '../postgres/pool.ts';
import { servingGenerations } from './furthest.ts';

export interface StoredPosition extends TopicPartition {
  readonly next: number;
  /** Of the record before `next`. */
  readonly fingerprint: string;
}

/** Tables in Postgres that are built from the log, with a checkpoint for every partition. */
export interface Consumer {
  readonly schema: string;
  /** A queue can be emptied at any time, because it is built again from the log. */
  readonly isQueue: boolean;
  readonly checkpoints: readonly StoredPosition[];
}

/** The served read models and the queues of jobs. */
export async function consumersOf(database: Database, placement: Placement): Promise<Consumer[]> {
  const generations = (await servingGenerations(database)).map(({ schema }) => ({ schema, isQueue: false }));
  const queues = (await queuesOf(database, placement)).map((schema) => ({ schema, isQueue: true }));
  const consumers: Consumer[] = [];
  for (const { schema, isQueue } of [...generations, ...queues]) {
    const text = `SELECT topic, partition, next, fingerprint FROM "${schema}".checkpoints`;
    const checkpoints = await database.query<StoredPosition & Record<string, unknown>>({ text });
    consumers.push({ schema, isQueue, checkpoints });
  }
  return consumers;
}

async function queuesOf(database: Database, { namespace }: Placement): Promise<string[]> {
  const schemas = SCOPES.map((scope) => queueSchema(namespace, scope));
  const text = 'SELECT nspname AS name FROM pg_namespace WHERE nspname = ANY ($1::text[]) ORDER BY 1';
  return (await database.query<{ name: string }>({ text, values: [schemas] })).map(({ name }) => name);
}

/** The number of sessions of other processes that read or feed read models of this namespace. */
export async function sessionsInUse(database: Database, { namespace }: Placement): Promise<number> {
  const classOf = (use: 'read' | 'feed') => `(${lockClass(use, '$1')}::bigint & 4294967295)::oid`;
  const text = `SELECT count(DISTINCT pid)::int AS sessions FROM pg_locks
    WHERE locktype = 'advisory' AND granted AND classid IN (${classOf('read')}, ${classOf('feed')})
      AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`;
  const [row] = await database.query<{ sessions: number }>({ text, values: [namespace] });
  return row?.sessions ?? 0;
}

/** The record before a checkpoint, as the log has it now. */
interface Stamp extends TopicPartition {
  readonly next: number;
  readonly fingerprint: string;
  readonly leaderEpoch: number;
}

/**
 * For a log that again holds, at their offsets, all records that Postgres has accepted. The read models stay, and their checkpoints
 * get the fingerprints of the records before them. Queues are emptied and built again from the log, because they may be further than
 * the read models, whose records are all that remains. Running consumers start again from their checkpoints, too.
 */
export async function keepReadModels(log: EventLog, database: Database, placement: Placement): Promise<void> {
  const consumers = await consumersOf(database, placement);
  const readModels = consumers.filter(({ isQueue }) => !isQueue);
  const stamps = new Map<string, Stamp[]>();
  for (const { schema, checkpoints } of readModels) stamps.set(schema, await stampsOf(log, checkpoints));
  await inOneCommit(database, async (client) => {
    for (const [schema, of] of stamps) await restamp(client, schema, of);
    await emptyQueues(client, consumers);
  });
}

async function stampsOf(log: EventLog, checkpoints: readonly StoredPosition[]): Promise<Stamp[]> {
  const stamps: Stamp[] = [];
  for (const { topic, partition, next } of checkpoints) {
    if (next === 0) continue;
    const [last] = await log.read({ topic, partition, offset: next - 1 }, { maxBytes: 1 });
    if (!last) throw new Error(`${topic}/${partition} ends before ${next}.`);
    stamps.push({ topic, partition, next, fingerprint: identityOf(last), leaderEpoch: last.leaderEpoch });
  }
  return stamps;
}

async function restamp(client: Client, schema: string, stamps: readonly Stamp[]): Promise<void> {
  await client.query(
    `UPDATE "${schema}".checkpoints c
      SET fingerprint = s.fingerprint, leader_epoch = s."leaderEpoch", fence = c.fence + 1, stopped = NULL
      FROM json_to_recordset($1) AS s (topic text, partition int, next bigint, fingerprint text, "leaderEpoch" int)
      WHERE c.topic = s.topic AND c.partition = s.partition AND c.next = s.next`,
    [JSON.stringify(stamps)],
  );
}

/** Locks the whole checkpoints table first. A commit that waits for it will fail its compare-and-set and discard its state. */
async function emptyQueues(client: Client, consumers: readonly Consumer[]): Promise<void> {
  for (const { schema } of consumers.filter(({ isQueue }) => isQueue)) {
    await client.query(`LOCK TABLE "${schema}".checkpoints IN EXCLUSIVE MODE`);
    await client.query(`UPDATE "${schema}".checkpoints
      SET next = 0, fence = fence + 1, fingerprint = '', leader_epoch = 0, stopped = NULL`);
    for (const table of ['stream_heads', 'job_queue', 'quarantine'])
      await client.query(`DELETE FROM "${schema}".${table}`);
  }
}

export interface Forgetting {
  /** The incarnation of the log that the database belongs to from now on. */
  readonly incarnation: string;
  /** Whether it belonged to another incarnation before, whose voids and changes of owner no longer count. */
  readonly isNew: boolean;
}

/**
 * Drops the read models, empties the queues and invalidates the cache. The next start of a projector builds them from the beginning
 * of the log. The same commit stores the incarnation to which the database belongs.
 */
export async function forgetReadModels(
  database: Database,
  placement: Placement,
  { incarnation, isNew }: Forgetting,
): Promise<void> {
  const consumers = await consumersOf(database, placement);
  await inOneCommit(database, async (client) => {
    const { rows } = await client.query<{ schema: string }>(
      `UPDATE generations SET state = 'retired', retired_at = now() WHERE state <> 'retired' RETURNING schema_name AS schema`,
    );
    for (const { schema } of rows) await client.query(`DROP SCHEMA IF EXISTS "${schema}" CASCADE`);
    await emptyQueues(client, consumers);
    if (isNew) for (const table of ['log_voids', 'log_ownership']) await client.query(`DELETE FROM ${table}`);
    await client.query('UPDATE log_identity SET incarnation = $1, initialised_at = coalesce(initialised_at, now())', [
      incarnation,
    ]);
    await forgetCache(client);
  });
}

/**
 * For a Postgres that was restored from a backup: the cache has entries of a later state of accounts and rows, and refresh tokens
 * that were deleted since the backup exist again.
 */
export function forgetLogins(database: Database): Promise<void> {
  return inOneCommit(database, async (client) => {
    await client.query('DELETE FROM refresh_tokens');
    await forgetCache(client);
  });
}

/** Makes the next process that reads begin a new incarnation of the cache. */
async function forgetCache(client: Client): Promise<void> {
  await client.query('DELETE FROM crash_guard');
  await client.query(
    `UPDATE cache_state SET id = gen_random_uuid()::text, previous = id, enabled = false, run_id = ''`,
  );
}

/** Also ends the recovery. The commit is synchronous even where the session's commits are not. */
function inOneCommit(database: Database, work: (client: Client) => Promise<void>): Promise<void> {
  return database.use((client) =>
    transaction(client, async () => {
      await client.query('SET LOCAL synchronous_commit = on');
      await work(client);
      await client.query('DELETE FROM log_recovery');
      await client.query('DELETE FROM log_recovery_records');
    }),
  );
}
