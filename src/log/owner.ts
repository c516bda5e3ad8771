import { hash } from 'node:crypto';
import type { LogOwner } from '../events/genesis.ts';
import type { Queries } from './identity.ts';

/** The identity of a database, by which it owns a log. It outlives restarts and failovers, and changes with a dump or pg_upgrade. */
export async function readOwner(database: Queries): Promise<LogOwner> {
  const text = `SELECT system_identifier::text AS "systemIdentifier",
      (SELECT oid::text FROM pg_database WHERE datname = current_database()) AS "databaseOid"
    FROM pg_control_system()`;
  const [row] = await database.query<LogOwner & Record<string, unknown>>({ text });
  if (!row) throw new Error('Postgres does not tell its system identifier.');
  return row;
}

/** As it is shown, and as an operator types it. */
export const showOwner = (owner: LogOwner | null): string =>
  owner ? `${owner.systemIdentifier}/${owner.databaseOid}` : 'no database';

export const isSameOwner = (one: LogOwner | null, other: LogOwner | null): boolean =>
  showOwner(one) === showOwner(other);

/** The end of the names of its consumer groups, so that two databases are never in one group. */
export const groupTagOf = (owner: LogOwner): string => hash('sha256', showOwner(owner), 'hex').slice(0, 8);
