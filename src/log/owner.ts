import { hash } from 'node:crypto';
import type { LogOwner } from '../events/genesis.ts';
import type { Queries } from './identity.ts';

/** The identity by which a database owns a log. It survives restarts and failovers, and changes with a dump or pg_upgrade. */
export async function readOwner(database: Queries): Promise<LogOwner> {
  const text = `SELECT system_identifier::text AS "systemIdentifier",
      (SELECT oid::text FROM pg_database WHERE datname = current_database()) AS "databaseOid"
    FROM pg_control_system()`;
  const [row] = await database.query<LogOwner & Record<string, unknown>>({ text });
  if (!row) throw new Error('Postgres does not show its system identifier.');
  return row;
}

/** The form in which it is shown, and in which an operator types it. */
export const showOwner = (owner: LogOwner | null): string =>
  owner ? `${owner.systemIdentifier}/${owner.databaseOid}` : 'no database';

export const isSameOwner = (one: LogOwner | null, other: LogOwner | null): boolean =>
  showOwner(one) === showOwner(other);

/** The suffix of its consumer groups' names, so that two databases are never in one group. */
export const groupTagOf = (owner: LogOwner): string => hash('sha256', showOwner(owner), 'hex').slice(0, 8);
