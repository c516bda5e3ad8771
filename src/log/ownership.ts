import { z } from 'zod';
import type { Envelope } from '../events/envelope.ts';
import type { LogOwner, OwnerChanged } from '../events/genesis.ts';
import type { Placement } from '../events/placement.ts';
import { partitionKey, type StoredRecord, type TopicPartition } from '../events/record.ts';
import { ownerIn } from './genesis.ts';
import { type LogIdentity, type Queries, readIdentity } from './identity.ts';
import { isSameOwner, showOwner } from './owner.ts';

/** The database that wants to use a broker's log. */
export interface Visitor {
  readonly me: LogOwner;
  /** It follows another database's log and writes nothing to it. */
  readonly readOnly: boolean;
}

const ADOPT = 'npm run openmusic -- log adopt';

/**
 * Why this database may not use the log in this way; undefined when it may. `madeBy`: the owner in the genesis records, undefined
 * where there are none.
 */
export function refusalOf(
  { me, readOnly }: Visitor,
  identity: LogIdentity | undefined,
  madeBy: LogOwner | null | undefined,
): string | undefined {
  if (identity === undefined) return madeBy === undefined || readOnly ? undefined : refusalOfUnknown(me, madeBy);
  const isOwner = identity.owned && isSameOwner(identity.owner, me);
  if (readOnly) return isOwner ? `this database owns the log: start it without READ_ONLY` : undefined;
  if (isOwner) return undefined;
  const owner = showOwner(identity.owner);
  return identity.owned
    ? `this database knows the log and owned it as ${owner}, but it is ${showOwner(me)} now: it was restored from a dump, or upgraded. ` +
        `If the earlier one is not used any more, claim the log: ${ADOPT} --claim`
    : `the log belongs to the database ${owner}, and this one is ${showOwner(me)}: follow the log with READ_ONLY=on, or take it over: ${ADOPT} --fence`;
}

/** The owner can lose its tables and still be the same database. `log init` then notes the log again. */
function refusalOfUnknown(me: LogOwner, madeBy: LogOwner | null): string | undefined {
  if (isSameOwner(me, madeBy)) return undefined;
  return (
    `this database (${showOwner(me)}) has never seen this log, which was made by ${showOwner(madeBy)}: ` +
    `follow it with READ_ONLY=on, or use another NAMESPACE`
  );
}

/** A database as the owner of the log, for the code that applies records to it. */
export interface Ownership {
  /** The change of owner by which an accepted record takes the log away from this database. */
  changeBy(claim: Envelope, record: StoredRecord): OwnerChanged | undefined;
  /** Called when such a record was read. No record after it is applied. */
  onChange(change: OwnerChanged): Promise<void>;
}

export interface OwnershipOptions {
  readonly me: LogOwner;
  readonly placement: Placement;
  /** By partition, the version of its genesis stream from which on this database is the owner; 1 where it is missing. */
  readonly since: ReadonlyMap<string, number>;
  readonly onChange: Ownership['onChange'];
}

/** Earlier changes of owner are ignored: a database that got its log back was the owner before. */
export function createOwnership({ me, placement, since, onChange }: OwnershipOptions): Ownership {
  return {
    onChange,
    changeBy(claim, record) {
      if (claim.version <= (since.get(partitionKey(record)) ?? 1)) return undefined;
      const said = ownerIn(claim, record, placement);
      return said?.type === 'OwnerChanged' && !isSameOwner(said.owner, me) ? said : undefined;
    },
  };
}

export const describeOwnerChange = ({ owner, reason, at }: OwnerChanged): string =>
  `the log belongs to the database ${showOwner(owner)} from here on (${reason} at ${at}): this database applies nothing more of it`;

const sinceRows = z.array(z.object({ topic: z.string(), partition: z.int(), version: z.int() }));

/** The ownership of this database as noted in its tables; undefined where it owns no log. */
export async function readOwnership(
  database: Queries,
  placement: Placement,
  onOwnerChange: (reason: string) => void,
): Promise<Ownership | undefined> {
  const identity = await readIdentity(database);
  if (!identity?.owned || !identity.owner) return undefined;
  const rows = sinceRows.parse(await database.query({ text: 'SELECT topic, partition, version FROM log_ownership' }));
  return createOwnership({
    me: identity.owner,
    placement,
    since: new Map(rows.map((row) => [partitionKey(row), row.version])),
    async onChange(change) {
      try {
        await writeOwnerChange(database, change.owner);
      } finally {
        onOwnerChange(describeOwnerChange(change));
      }
    },
  });
}

/** After this no process of this database starts as owner. */
export async function writeOwnerChange(database: Queries, owner: LogOwner): Promise<void> {
  await database.query({
    text: 'UPDATE log_identity SET owned = false, owner_system_identifier = $1, owner_database_oid = $2, adopted_at = NULL',
    values: [owner.systemIdentifier, owner.databaseOid],
  });
}

/** To be written once every partition has the new owner. `took`: from another database, whose processes may still run. */
export async function writeOwnership(
  database: Queries,
  { incarnation, owner }: Pick<LogIdentity, 'incarnation'> & { readonly owner: LogOwner },
  since: readonly (TopicPartition & { readonly version: number })[],
  took: boolean,
): Promise<void> {
  await database.query({
    text: `WITH ours AS (
        INSERT INTO log_ownership SELECT s.* FROM json_to_recordset($5) AS s (topic text, partition int, version int)
        ON CONFLICT (topic, partition) DO UPDATE SET version = excluded.version
      )
      INSERT INTO log_identity (incarnation, initialised_at, owner_system_identifier, owner_database_oid, adopted_at)
      VALUES ($1, now(), $2, $3, CASE WHEN $4 THEN now() END)
      ON CONFLICT (only_row) DO UPDATE SET owned = true, initialised_at = coalesce(log_identity.initialised_at, now()), owner_system_identifier = excluded.owner_system_identifier,
        owner_database_oid = excluded.owner_database_oid, adopted_at = excluded.adopted_at`,
    values: [incarnation, owner.systemIdentifier, owner.databaseOid, took, JSON.stringify(since)],
  });
}

/** When this database took over the log from another one. */
export async function readAdoption(database: Queries): Promise<Date | undefined> {
  const [row] = await database.query<{ adopted: Date | null }>({
    text: 'SELECT adopted_at AS adopted FROM log_identity',
  });
  return row?.adopted ?? undefined;
}
