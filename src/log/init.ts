import { randomUUID } from 'node:crypto';
import type { QueryConfig, QueryResultRow } from 'pg';
import type { LogOwner } from '../events/genesis.ts';
import type { Placement } from '../events/placement.ts';
import { withAdvisoryLock } from '../postgres/advisory-lock.ts';
import type { Client, Database } from '../postgres/pool.ts';
import type { EventLog } from './event-log.ts';
import { genesisRecord } from './genesis.ts';
import { type LogIdentity, markInitialised, type Queries, readIdentity, writeIdentity } from './identity.ts';
import { refusalOf, type Visitor } from './ownership.ts';
import { checkLog, inspectLog, LogRefused, remadeTopicsOf, strangers, topicsOf } from './topics.ts';
import { publishVoids, readVoids } from './void-topic.ts';

export interface InitOptions {
  readonly log: EventLog;
  readonly placement: Placement;
  /** Its search path begins with the namespace's schema. */
  readonly database: Database;
  /** The identity of the database, which becomes the owner of a broker's log. Without it the log has no owner. */
  readonly me?: LogOwner | undefined;
}

/** The same, once the lock is held. Every query runs on the connection that holds it. */
type Locked = Omit<InitOptions, 'database'> & { readonly database: Queries };

const LOCK_WITHIN_MS = 60_000;

/**
 * Creates the missing parts of a new log: identity, topics and genesis records, in this order, so that the next run can complete
 * it after a crash. A log that was complete once is only checked, because its missing parts are lost. Only the topics of dead letters
 * and of voids are created again, the latter with the voids in the database. A complete log that is not known to this database is
 * adopted if its owner is this same database, whose tables were lost. Throws LogRefused if another database owns it.
 */
export async function initLog(options: InitOptions): Promise<LogIdentity> {
  return options.database.use(async (client) => {
    const name = `openmusic log init ${options.placement.namespace}`;
    const giveUpAt = Date.now() + LOCK_WITHIN_MS;
    const onBusy = () => {
      if (Date.now() > giveUpAt) throw new Error('another process has been initialising the log for a minute');
    };
    return withAdvisoryLock(client, name, { everyMs: 100, onBusy }, () =>
      init({ ...options, database: queriesOf(client) }),
    );
  });
}

const queriesOf = (client: Client): Queries => ({
  query: async <Row extends QueryResultRow>(query: QueryConfig) => (await client.query<Row>(query)).rows,
});

async function init(options: Locked): Promise<LogIdentity> {
  const identity = await readIdentity(options.database);
  if (identity?.initialised) return complete(options, identity);
  if (identity) return make(options, identity);
  const found = await foundIn(options);
  return found ? adopt(options, found) : begin(options);
}

const visitorOf = ({ me }: Locked): Visitor | undefined => me && { me, readOnly: false };

async function complete(options: Locked, identity: LogIdentity): Promise<LogIdentity> {
  const { log, placement } = options;
  const visitor = visitorOf(options);
  const refusal = visitor && refusalOf(visitor, identity, undefined);
  if (refusal !== undefined) throw new LogRefused([refusal]);
  await log.createTopics(remadeTopicsOf(placement));
  await checkLog(log, placement, identity, visitor);
  const place = { log, namespace: placement.namespace, database: options.database };
  await publishVoids(place, (await readVoids(place)).unpublished);
  return identity;
}

async function adopt(options: Locked, { incarnation, madeBy }: Found): Promise<LogIdentity> {
  const visitor = visitorOf(options);
  const refusal = visitor && refusalOf(visitor, undefined, madeBy);
  if (refusal !== undefined) throw new LogRefused([refusal]);
  const identity = identityOf(options, incarnation, true);
  await complete(options, identity);
  await writeIdentity(options.database, identity);
  return identity;
}

async function begin(options: Locked): Promise<LogIdentity> {
  const identity = identityOf(options, randomUUID(), false);
  await writeIdentity(options.database, identity);
  return make(options, identity);
}

const identityOf = ({ me }: Locked, incarnation: string, initialised: boolean): LogIdentity => ({
  incarnation,
  initialised,
  owner: me ?? null,
  owned: true,
});

async function make(options: Locked, { incarnation, owner }: LogIdentity): Promise<LogIdentity> {
  const { log, placement, database } = options;
  const identity = { incarnation, owner, initialised: true, owned: true };
  await log.createTopics(topicsOf(placement));
  const { faults, cut, empty, incarnations } = await inspectLog(log, placement);
  const reasons = [...faults, ...cut, ...strangers(incarnations, identity)];
  if (reasons.length > 0) throw new LogRefused(reasons);
  await log.append(empty.map((where) => ({ ...where, record: genesisRecord(placement, where, incarnation, owner) })));
  await checkLog(log, placement, identity, visitorOf(options));
  await markInitialised(database);
  return identity;
}

interface Found {
  readonly incarnation: string;
  readonly madeBy: LogOwner | null;
}

/** What the first partition with a genesis record says. */
async function foundIn({ log, placement }: Locked): Promise<Found | undefined> {
  const { incarnations, madeBy = null } = await inspectLog(log, placement);
  const incarnation = incarnations.values().next().value;
  return incarnation === undefined ? undefined : { incarnation, madeBy };
}
