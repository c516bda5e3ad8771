import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type { QueryConfig, QueryResultRow } from 'pg';
import type { Placement } from '../events/placement.ts';
import type { Client, Database } from '../postgres/pool.ts';
import type { EventLog } from './event-log.ts';
import { genesisRecord } from './genesis.ts';
import { type LogIdentity, markInitialised, type Queries, readIdentity, writeIdentity } from './identity.ts';
import { checkLog, inspectLog, LogRefused, remadeTopicsOf, strangers, topicsOf } from './topics.ts';
import { publishVoids, unpublishedVoids } from './void-topic.ts';

export interface InitOptions {
  readonly log: EventLog;
  readonly placement: Placement;
  /** Whose search path begins with the namespace's schema. */
  readonly database: Database;
}

/** The same, once the lock is held; every query goes over the connection that holds it. */
type Locked = Omit<InitOptions, 'database'> & { readonly database: Queries };

/**
 * Makes what is missing of a new log: identity, topics and genesis records, in this order, so that a crash anywhere leaves
 * what the next run completes. A log that was complete once is only checked, because what is missing of it is lost; only
 * the topics of dead letters and of voids are made again, the latter with what the database knows. A complete log that this database does not know is adopted.
 */
export async function initLog(options: InitOptions): Promise<LogIdentity> {
  return options.database.use(async (client) => {
    const name = `openmusic log init ${options.placement.namespace}`;
    await takeLock(client, name);
    try {
      return await init({ ...options, database: queriesOf(client) });
    } finally {
      await client.query('SELECT pg_advisory_unlock(hashtext($1))', [name]).catch(() => undefined);
    }
  });
}

const queriesOf = (client: Client): Queries => ({
  query: async <Row extends QueryResultRow>(query: QueryConfig) => (await client.query<Row>(query)).rows,
});

async function init(options: Locked): Promise<LogIdentity> {
  const known = await readIdentity(options.database);
  if (known?.initialised) return complete(options, known);
  if (known) return make(options, known);
  const found = await incarnationIn(options);
  return found === undefined ? begin(options) : adopt(options, { incarnation: found, initialised: true });
}

async function complete({ log, placement, database }: Locked, identity: LogIdentity): Promise<LogIdentity> {
  await log.createTopics(remadeTopicsOf(placement));
  await checkLog(log, placement, identity);
  const place = { log, namespace: placement.namespace, database };
  await publishVoids(place, await unpublishedVoids(place));
  return identity;
}

async function adopt(options: Locked, identity: LogIdentity): Promise<LogIdentity> {
  await complete(options, identity);
  await writeIdentity(options.database, identity);
  return identity;
}

async function begin(options: Locked): Promise<LogIdentity> {
  const identity = { incarnation: randomUUID(), initialised: false };
  await writeIdentity(options.database, identity);
  return make(options, identity);
}

async function make({ log, placement, database }: Locked, { incarnation }: LogIdentity): Promise<LogIdentity> {
  const identity = { incarnation, initialised: true };
  await log.createTopics(topicsOf(placement));
  const { faults, cut, empty, incarnations } = await inspectLog(log, placement);
  const reasons = [...faults, ...cut, ...strangers(incarnations, identity)];
  if (reasons.length > 0) throw new LogRefused(reasons);
  await log.append(empty.map((where) => ({ ...where, record: genesisRecord(placement, where, incarnation) })));
  await checkLog(log, placement, identity);
  await markInitialised(database);
  return identity;
}

/** Of the first partition that has one. */
async function incarnationIn({ log, placement }: Locked): Promise<string | undefined> {
  const { incarnations } = await inspectLog(log, placement);
  return incarnations.values().next().value;
}

const LOCK_WITHIN_MS = 60_000;
const PAUSE_MS = 100;

/** It belongs to the connection, so that a crash gives it back. */
async function takeLock(client: Client, name: string): Promise<void> {
  const giveUpAt = Date.now() + LOCK_WITHIN_MS;
  while (Date.now() < giveUpAt) {
    const text = 'SELECT pg_try_advisory_lock(hashtext($1)) AS taken';
    const { rows } = await client.query<{ taken: boolean }>(text, [name]);
    if (rows[0]?.taken) return;
    await delay(PAUSE_MS);
  }
  throw new Error('another process has been initialising the log for a minute');
}
